"""Idempotency-Key on POST."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.api import idempotency
from apps.accounts.models import IdempotencyKey, Team, Token
from tests.accounts import factories

pytestmark = pytest.mark.django_db
FRAUD = {"key": "fraud", "name": "Fraud"}


@pytest.fixture
def admin() -> dict[str, str]:
    return factories.bearer(Role.ADMIN)


def post(client: Client, headers: dict[str, str], body: Any = FRAUD, key: str = "k1") -> Any:
    return client.post(
        "/api/v1/teams",
        body,
        content_type="application/json",
        headers={**headers, "Idempotency-Key": key},
    )


def test_post__same_key_and_body__first_answer_again(client: Client, admin: dict[str, str]) -> None:
    first, second = post(client, admin), post(client, admin)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotent-Replay"] == "true"
    assert Team.objects.filter(key="fraud").count() == 1


def test_post__same_key_other_body__422(client: Client, admin: dict[str, str]) -> None:
    post(client, admin)
    answer = post(client, admin, {"key": "other", "name": "Other"})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:switchyard:problem:idempotency-key-reused"


def test_post__same_key_of_another_principal__is_their_own(
    client: Client, admin: dict[str, str]
) -> None:
    post(client, admin)
    answer = post(client, factories.bearer(Role.ADMIN), {"key": "other", "name": "Other"})
    assert answer.status_code == 201


def test_post__first_still_running__409(client: Client, admin: dict[str, str]) -> None:
    post(client, admin)
    IdempotencyKey.objects.update(status=None)
    answer = post(client, admin)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:switchyard:problem:idempotency-key-in-use"


def test_post__first_was_abandoned__runs_again(client: Client, admin: dict[str, str]) -> None:
    post(client, admin, {"key": "one", "name": "One"})
    long_ago = timezone.now() - idempotency.ABANDONED_AFTER - timedelta(seconds=1)
    IdempotencyKey.objects.update(status=None, claimed_at=long_ago)
    assert post(client, admin).status_code == 201


def test_post__refused__may_be_tried_again(client: Client, admin: dict[str, str]) -> None:
    assert post(client, admin, {"name": "no key"}).status_code == 400
    assert post(client, admin).status_code == 201


def test_post__day_old_key__forgotten(client: Client, admin: dict[str, str]) -> None:
    post(client, admin)
    IdempotencyKey.objects.update(claimed_at=timezone.now() - timedelta(days=2))
    assert post(client, admin, {"key": "other", "name": "Other"}).status_code == 201


def test_post__key_too_long__422(client: Client, admin: dict[str, str]) -> None:
    assert post(client, admin, key="k" * 201).status_code == 422


def test_post__answer_holds_a_secret__not_kept_nor_given_twice(client: Client) -> None:
    user = factories.user(Role.SCIENTIST)
    headers = {"Authorization": f"Bearer {factories.token(user)[1]}", "Idempotency-Key": "k"}
    body = {"name": "mine", "expires_at": (timezone.now() + timedelta(days=1)).isoformat()}

    def issue() -> Any:
        return client.post(
            "/api/v1/me/tokens", body, content_type="application/json", headers=headers
        )

    assert issue().status_code == 201
    assert IdempotencyKey.objects.get().body is None
    assert issue().status_code == 409
    assert Token.objects.filter(user=user, name="mine").count() == 1
