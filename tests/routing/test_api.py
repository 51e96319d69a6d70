"""Routing over REST."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.access import Role
from apps.routing import services
from tests.registry.factories import make_model, make_version, person
from tests.routing.conftest import Caller
from tests.routing.factories import canary, deployed, make_endpoint, operator, route, stable

pytestmark = pytest.mark.django_db
FLIGHTS = "/api/v1/endpoints/flights"


def split(*items: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [
        {"variant": role, "role": role, "version": version, "weight": weight}
        for role, version, weight in items
    ]


def put(api: APIClient, weights: object, **fields: object) -> Any:
    body = {"expected_revision": 0, "weights": weights, "reason": "test", **fields}
    return api.put(f"{FLIGHTS}/weights", body, format="json")


def test_endpoints__posted__listed_without_a_phase(api: APIClient) -> None:
    make_model()
    answer = api.post("/api/v1/endpoints", {"name": "flights", "model": "flights"}, format="json")
    assert (answer.status_code, answer.json()["revision"]) == (201, 0)
    listed = api.get("/api/v1/endpoints?model=flights").json()["results"]
    assert [(item["name"], item["phase"]) for item in listed] == [("flights", None)]


def test_endpoints__same_name_again__conflict_names_the_field(api: APIClient) -> None:
    make_endpoint()
    answer = api.post("/api/v1/endpoints", {"name": "flights", "model": "flights"}, format="json")
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["path"] == "$.name"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "Big Name", "model": "flights"}, "$.name"),
        ({"name": "a", "model": "flights", "sample_rate": 2}, "$.sample_rate"),
        ({"name": "a", "model": "flights", "unit_kind": "tribe"}, "$.unit_kind"),
        ({"name": "a", "model": "flights", "colour": "red"}, "$.colour"),
        ({"name": "a", "model": "flights", "settings": {"limit": 1}}, "$.settings.limit"),
        (
            {"name": "a", "model": "flights", "settings": {"limits": {"deadline_ms": 0}}},
            "$.settings.limits.deadline_ms",
        ),
        ({"name": "a", "model": "ghost"}, "$.model"),
    ],
)
def test_endpoints__bad_input__problem_names_it(
    api: APIClient, body: dict[str, object], path: str
) -> None:
    make_model()
    answer = api.post("/api/v1/endpoints", body, format="json")
    assert answer.status_code in (400, 404, 422)
    assert answer["Content-Type"] == "application/problem+json"
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]


def test_weights__put__endpoint_shows_them(api: APIClient) -> None:
    make_endpoint()
    deployed(1), deployed(2)
    answer = put(api, split(("stable", "1", 9_500), ("canary", "2", 500)))
    assert (answer.status_code, answer.json()["number"]) == (200, 1)
    shown = api.get(FLIGHTS).json()
    assert (shown["revision"], shown["generation"]) == (1, 1)
    assert [v["version"] for v in shown["phase"]["variants"]] == ["flights/1", "flights/2"]


def test_weights__semantic_version__found(api: APIClient) -> None:
    make_endpoint()
    version = make_version(number=1, stage="production", semantic_version="2.0.1")
    services.register_backend(
        actor=operator(), version=version, entry="flights-v1", addresses=["127.0.0.1:1"]
    )
    assert put(api, split(("stable", "2.0.1", 10_000))).status_code == 200


@pytest.mark.parametrize(
    ("weights", "path"),
    [
        (split(("stable", "1", 9_999)), "$.weights"),
        (split(("stable", "1", -1)), "$.weights[0].weight"),
        (split(("stable", "1", 5_000), ("boss", "2", 5_000)), "$.weights[1].role"),
        (split(("stable", "1", 5_000), ("canary", "9", 5_000)), "$.weights[1].version"),
        ([], "$.weights"),
    ],
)
def test_weights__bad__problem_names_it(api: APIClient, weights: object, path: str) -> None:
    make_endpoint()
    deployed(1), deployed(2)
    answer = put(api, weights)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["path"] == path


def test_weights__stale_revision__conflict(api: APIClient) -> None:
    route(make_endpoint(), stable(deployed(1)))
    answer = put(api, split(("stable", "1", 10_000)))
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:switchyard:problem:revision-conflict"


def test_weights__held_by_a_rollout__conflict_names_it(api: APIClient) -> None:
    endpoint = make_endpoint()
    deployed(1)
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder="rollout:7")
    answer = put(api, split(("stable", "1", 10_000)))
    assert (answer.status_code, "rollout:7" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.READ_ONLY, Role.APPROVER])
def test_weights__role_without_routing__forbidden(calling: Caller, role: Role) -> None:
    make_endpoint()
    deployed(1)
    assert put(calling(person("eve", role)), split(("stable", "1", 10_000))).status_code == 403


def test_weights__operator_of_another_team__forbidden(calling: Caller) -> None:
    make_endpoint()
    deployed(1)
    other = calling(person("oscar", Role.OPERATOR, team="risk"))
    assert put(other, split(("stable", "1", 10_000))).status_code == 403


def test_preview__ramp__moves_told_and_nobody_moved(api: APIClient) -> None:
    endpoint, one, _ = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    weights = split(("stable", "1", 8_000), ("canary", "2", 2_000))
    seen = api.post(f"{FLIGHTS}/weights/preview", {"weights": weights}, format="json").json()
    assert seen["moves"] == [{"before": "flights/1", "after": "flights/2", "buckets": 2_000}]
    assert api.get(FLIGHTS).json()["revision"] == 1


def test_restore__earlier_phase__phases_tell(api: APIClient) -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000))
    body = {"phase": 1, "expected_revision": 2, "reason": "slower"}
    answer = api.post(f"{FLIGHTS}/restore", body, format="json")
    assert (answer.status_code, answer.json()["phase"]) == (200, 3)
    phases = api.get(f"{FLIGHTS}/phases").json()["results"]
    assert [phase["restored_from"] for phase in phases] == [1, None, None]


def test_restore__unknown_phase__not_found(api: APIClient) -> None:
    route(make_endpoint(), stable(deployed(1)))
    body = {"phase": 9, "expected_revision": 1, "reason": "x"}
    assert api.post(f"{FLIGHTS}/restore", body, format="json").status_code == 404


def test_assignment__asked__says_who_decided(api: APIClient) -> None:
    route(make_endpoint(), stable(deployed(1)), reason="first")
    told = api.get(f"{FLIGHTS}/assignment?unit=N123").json()
    assert (told["version"], told["actor_key"], told["reason"]) == (
        "flights/1",
        "user:olga",
        "first",
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 422), ("?unit=u&at=noon", 422), ("?unit=u&at=2001-01-01T00:00:00Z", 404)],
)
def test_assignment__unanswerable__problem(api: APIClient, query: str, status: int) -> None:
    route(make_endpoint(), stable(deployed(1)))
    assert api.get(f"{FLIGHTS}/assignment{query}").status_code == status


def test_changes__between_generations__endpoint_told(api: APIClient) -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000))
    told = api.get("/api/v1/generations/2/changes").json()["endpoints"]
    assert [(item["endpoint"], item["moved"]) for item in told] == [("flights", 1_000)]
    assert "ranges" in told[0]["fields_changed"]


def test_generations__listed__newest_first(api: APIClient) -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(one))
    rows = api.get(f"{FLIGHTS}/generations").json()["results"]
    assert [row["number"] for row in rows] == [2, 1]


def test_endpoint__patched__new_generation_same_revision(api: APIClient) -> None:
    route(make_endpoint(), stable(deployed(1)))
    body = {"settings": {"limits": {"deadline_ms": 200}}, "reason": "quick"}
    shown = api.patch(FLIGHTS, body, format="json").json()
    assert (shown["revision"], shown["generation"]) == (1, 2)


def test_endpoint__unknown__problem(api: APIClient) -> None:
    for path in ("", "/phases", "/generations", "/overrides", "/assignment?unit=u"):
        answer = api.get(f"/api/v1/endpoints/ghost{path}")
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"


def test_endpoints__thousand__listed_in_few_queries(
    api: APIClient, django_assert_max_num_queries: Any
) -> None:
    one = deployed(1)
    for number in range(12):
        route(make_endpoint(f"e-{number}"), stable(one))
    with django_assert_max_num_queries(4):
        assert len(api.get("/api/v1/endpoints").json()["results"]) == 12


def test_gateways__none_yet__empty(api: APIClient) -> None:
    assert api.get("/api/v1/gateways").json() == []
