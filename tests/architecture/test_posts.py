"""Every POST may be sent again under an Idempotency-Key, and every 202 says what to poll."""

import hashlib
import inspect
import json
import threading
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.access import GRANTS, Role
from apps.accounts.api.idempotency import IdempotentPosts
from apps.accounts.models import IdempotencyKey, Team
from tests.accounts import factories
from tests.architecture.routes import Route, all_routes

KEY = "once"
BODY = b"{}"
POSTS = [route for route in all_routes() if route.is_api and "POST" in route.methods()]


def role_for(route: Route) -> Role | None:
    permission = getattr(route.view_class, "permissions", {})["POST"]
    return next((role for role in (Role.ADMIN, Role.APPROVER) if permission in GRANTS[role]), None)


def post(client: Client, route: Route, headers: dict[str, str]) -> Any:
    return client.generic(
        "POST",
        route.path,
        BODY,
        content_type="application/json",
        headers={**headers, "Idempotency-Key": KEY},
    )


@pytest.mark.django_db
def test_posts__each__answers_again_waits_or_refuses_by_its_key(client: Client) -> None:
    """The key is honoured before the view runs, so no route needs an object for this."""
    tokens = {role: factories.user(role) for role in (Role.ADMIN, Role.APPROVER)}
    bearers = {
        role: {"Authorization": f"Bearer {factories.token(user)[1]}"}
        for role, user in tokens.items()
    }
    assert len(POSTS) > 40
    wrong = []
    for route in POSTS:
        role = role_for(route)
        assert role is not None, route.name
        row = IdempotencyKey.objects.create(
            principal_key=tokens[role].key,
            route=route.path,
            key=KEY,
            body_digest=hashlib.sha256(BODY).hexdigest(),
            claimed_at=timezone.now(),
            status=202,
            content_type="application/json",
            body=b'{"first": true}',
            location="/api/v1/first",
        )
        rows = IdempotencyKey.objects.filter(pk=row.pk)
        again = post(client, route, bearers[role])
        rows.update(status=None)
        running = post(client, route, bearers[role])
        rows.update(body_digest="0" * 64)
        other = post(client, route, bearers[role])
        seen = (
            again.status_code,
            again.content,
            again.headers.get("Idempotent-Replay"),
            again.headers.get("Location"),
            running.status_code,
            other.status_code,
        )
        # MLflow's protocol has words of its own for refusals, and 422 is none of them.
        refused = 400 if route.name.startswith("mlflow-") else 422
        if seen != (202, b'{"first": true}', "true", "/api/v1/first", 409, refused):
            wrong.append((route.name, seen))
    assert wrong == []


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.name)
def test_post__each__is_of_the_view_that_honours_keys(route: Route) -> None:
    assert route.view_class is not None
    assert issubclass(route.view_class, IdempotentPosts)


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.name)
def test_post__that_answers_202__says_in_location_what_to_poll(route: Route) -> None:
    view = route.view_class
    assert view is not None
    source = inspect.getsource(view)
    begins = getattr(view, "status", None) == HTTPStatus.ACCEPTED or "202" in source
    assert not begins or getattr(view, "polls", None) or "Location" in source


@pytest.mark.django_db(transaction=True)
def test_posts__many_at_once_with_one_key__done_once() -> None:
    user = factories.user(Role.ADMIN)
    headers = {
        "Authorization": f"Bearer {factories.token(user)[1]}",
        "Idempotency-Key": "together",
    }
    statuses: list[int] = []

    def send() -> None:
        answer = Client().post(
            "/api/v1/teams",
            json.dumps({"key": "fraud", "name": "Fraud"}),
            content_type="application/json",
            headers=headers,
        )
        statuses.append(answer.status_code)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
    assert HTTPStatus.CREATED in statuses
    assert Team.objects.filter(key="fraud").count() == 1
