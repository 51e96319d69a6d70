"""Experiments over REST."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.access import Role
from tests.experiments.factories import analyst, serving_endpoint
from tests.registry.factories import person
from tests.routing.factories import deployed

pytestmark = pytest.mark.django_db
URL = "/api/v1/experiments"


def client_of(principal: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=None, token=principal)
    return client


@pytest.fixture
def api() -> APIClient:
    """A REST client of an analyst."""
    return client_of(analyst())


def plan(**fields: object) -> dict[str, object]:
    arms = [
        {"variant": "control", "version": "1", "weight": 5_000, "control": True},
        {"variant": "boosted", "version": "2", "weight": 5_000},
    ]
    metrics = [{"name": "rebooked", "kind": "proportion"}]
    body = {"name": "n", "endpoint": "flights", "hypothesis": "h", "arms": arms}
    return {**body, "metrics": metrics, **fields}


def post(api: APIClient, path: str = "", body: object = None) -> Any:
    return api.post(f"{URL}{path}", body or {"reason": "test"}, format="json")


def test_experiment__planned_started_stopped_decided__over_rest(api: APIClient) -> None:
    serving_endpoint()
    deployed(2)
    created = post(api, "", plan())
    assert created.status_code == 201, created.json()
    one = f"/{created.json()['id']}"
    assert post(api, f"{one}/start").json()["state"] == "running"
    assert [arm["units"] for arm in api.get(f"{URL}{one}").json()["arms"]] == [0, 0]
    assert post(api, f"{one}/stop").json()["state"] == "stopped"
    decided = post(api, f"{one}/decide", {"decision": "inconclusive", "reason": "too few"})
    assert decided.json()["decision"] == "inconclusive"
    assert post(api, f"{one}/archive").json()["state"] == "archived"
    assert [row["id"] for row in api.get(f"{URL}?state=archived").json()["results"]] == [one[1:]]


@pytest.mark.parametrize(
    ("fields", "status", "path"),
    [
        ({"arms": []}, 400, "$.arms"),
        ({"colour": "red"}, 400, "$.colour"),
        ({"alpha": 2}, 400, "$.alpha"),
        ({"metrics": [{"name": "x", "kind": "vibes"}]}, 400, "$.metrics[0].kind"),
        ({"endpoint": "nowhere"}, 404, "$.endpoint"),
        (
            {"arms": [{"variant": "a", "version": "9", "weight": 1}]},
            422,
            "$.arms[0].version",
        ),
        (
            {"arms": [{"variant": "a", "version": "1", "weight": 10_000, "control": True}]},
            422,
            "$.arms",
        ),
    ],
)
def test_create__bad_plan__problem_names_the_field(
    api: APIClient, fields: dict[str, object], status: int, path: str
) -> None:
    serving_endpoint()
    answer = post(api, "", plan(**fields))
    assert answer.status_code == status
    assert answer.json()["errors"][0]["path"] == path


def test_stop__draft__conflict(api: APIClient) -> None:
    serving_endpoint()
    deployed(2)
    one = post(api, "", plan()).json()["id"]
    answer = post(api, f"/{one}/stop")
    assert (answer.status_code, answer.json()["title"]) == (409, "State does not allow this")


def test_create__by_somebody_who_may_only_look__forbidden() -> None:
    answer = post(client_of(person("rita", Role.READ_ONLY)), "", plan())
    assert answer.status_code == 403


def test_experiment__unknown__not_found(api: APIClient) -> None:
    assert api.get(f"{URL}/0190c8f4-0000-7000-8000-000000000000").status_code == 404
