"""The REST resources: shapes, statuses, refusals."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.access import Role
from apps.deployments.models import Deployment, Rollout
from tests.deployments.ramps import planned, started
from tests.registry.factories import make_version, person
from tests.routing.conftest import Caller
from tests.routing.factories import deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db(transaction=True)

PLAN: dict[str, Any] = {
    "candidate": "2",
    "steps": [{"weight": 500, "hold_s": 1}, {"weight": 10_000, "hold_s": 1}],
    "reason": "better",
}


def served() -> None:
    """Version 1 serves, version 2 is loaded and approved."""
    old = deployed(1)
    deployed(2)
    route(make_endpoint(), stable(old))


def faults(answer: Any) -> list[str]:
    return [fault["path"] for fault in answer.json()["errors"]]


def test_create_rollout__plan__planned_with_the_tiers_limits(api: APIClient) -> None:
    served()
    answer = api.post("/api/v1/endpoints/flights/rollouts", PLAN, format="json")
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert (body["state"], body["step_index"]) == ("pending", -1)
    assert (body["candidate"], body["baseline"]) == ("flights/2", "flights/1")
    assert body["conditions"]["p99_pass_ms"] == 500
    assert body["steps"][0] == {
        "weight": 500,
        "hold_s": 1.0,
        "minimum_requests": 100,
        "minimum_labels": 0,
    }


def test_create_rollout__no_steps__gets_the_tiers(api: APIClient) -> None:
    served()
    plan = {"candidate": "2", "reason": "better"}
    answer = api.post("/api/v1/endpoints/flights/rollouts", plan, format="json")
    assert [step["weight"] for step in answer.json()["steps"]] == [500, 2_000, 5_000, 10_000]


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"reason": ""}, 400, "$.reason"),
        ({"colour": "blue"}, 400, "$.colour"),
        ({"steps": []}, 400, "$.steps"),
        ({"steps": [{"weight": 20_000, "hold_s": 1}]}, 400, "$.steps[0].weight"),
        (
            {"steps": [{"weight": 9, "hold_s": 1}, {"weight": 9, "hold_s": 1}]},
            422,
            "$.steps[1].weight",
        ),
        ({"steps": [{"weight": 9, "hold_s": "nan"}]}, 400, "$.steps[0].hold_s"),
        ({"conditions": {"alpha": 2}}, 422, "$.conditions.alpha"),
        ({"conditions": {"error_ratio_fail": "inf"}}, 400, "$.conditions.error_ratio_fail"),
        ({"conditions": {"p99_pass_ms": 5_000}}, 422, "$.conditions.p99_pass_ms"),
        ({"candidate": "1"}, 409, "$.candidate"),
        ({"candidate": "99"}, 404, "$.version"),
    ],
)
def test_create_rollout__faulty_plan__names_the_fault(
    api: APIClient, change: dict[str, Any], status: int, path: str
) -> None:
    served()
    answer = api.post("/api/v1/endpoints/flights/rollouts", PLAN | change, format="json")
    assert (answer.status_code, faults(answer)) == (status, [path])
    assert not Rollout.objects.exists()


def test_create_rollout__unapproved_candidate__refused(api: APIClient) -> None:
    route(make_endpoint(), stable(deployed(1)))
    make_version(number=2, stage="staging")
    answer = api.post("/api/v1/endpoints/flights/rollouts", PLAN, format="json")
    assert (answer.status_code, answer.json()["type"]) == (
        409,
        "urn:switchyard:problem:version-not-approved",
    )


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("pause", "paused"),
        ("promote", "progressing"),
        ("abort", "aborted"),
        ("rollback", "rolled_back"),
    ],
)
def test_rollout_action__with_a_reason__done(api: APIClient, action: str, state: str) -> None:
    ramp = started()
    url = f"/api/v1/rollouts/{ramp.rollout.pk}/{action}"
    answer = api.post(url, {"reason": "because"}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert answer.json()["state_reason"] == "because"


def test_rollout_action__not_possible_now__conflict(api: APIClient) -> None:
    ramp = started()
    url = f"/api/v1/rollouts/{ramp.rollout.pk}/resume"
    answer = api.post(url, {"reason": "because"}, format="json")
    assert answer.status_code == 409


def test_rollout_action__by_an_analyst__forbidden(calling: Caller) -> None:
    ramp = started()
    client = calling(person("ana", Role.ANALYST))
    url = f"/api/v1/rollouts/{ramp.rollout.pk}/rollback"
    assert client.post(url, {"reason": "because"}, format="json").status_code == 403
    assert client.get(f"/api/v1/rollouts/{ramp.rollout.pk}").status_code == 200


def test_rollouts__active_only__leaves_out_what_is_over(api: APIClient) -> None:
    ramp = planned()
    found = api.get("/api/v1/rollouts?active=true").json()["results"]
    assert [one["id"] for one in found] == [str(ramp.rollout.pk)]
    assert api.get("/api/v1/rollouts?active=false").json()["results"] == []
    assert len(api.get("/api/v1/endpoints/flights/rollouts").json()["results"]) == 1


def test_verdicts__of_a_rollout__listed_newest_first(api: APIClient) -> None:
    ramp = started()
    ramp.tick(1)
    rows = api.get(f"/api/v1/rollouts/{ramp.rollout.pk}/verdicts").json()["results"]
    assert {row["metric"] for row in rows} == {"errors", "latency", "accuracy"}


def test_rollout__unknown__not_found(api: APIClient) -> None:
    missing = "0192f3a4-0000-7000-8000-000000000000"
    assert api.get(f"/api/v1/rollouts/{missing}").status_code == 404
    assert api.get(f"/api/v1/deployments/{missing}").status_code == 404


def test_deploy__approved_version__accepted(api: APIClient) -> None:
    make_version(number=1, stage="production")
    answer = api.post("/api/v1/models/flights/deploy", {"version": "1"}, format="json")
    assert answer.status_code == 202
    assert answer.json()["status"] == "pending"
    found = api.get(f"/api/v1/deployments/{answer.json()['deployment_id']}").json()
    assert (found["entry"], found["version"]) == ("flights-v1", 1)
    assert len(api.get("/api/v1/deployments?model=flights").json()["results"]) == 1


@pytest.mark.parametrize(
    ("stage", "traffic", "status"),
    [
        ("dev", 0, 409),
        ("staging", 0, 202),
        ("staging", 5, 409),
        ("production", 5, 422),
        ("production", 100, 202),
        ("archived", 0, 409),
    ],
)
def test_deploy__by_stage_and_traffic__refused_before_anything_is_done(
    api: APIClient, stage: str, traffic: int, status: int
) -> None:
    make_version(number=1, stage=stage)
    body = {"version": "1", "traffic_percentage": traffic}
    answer = api.post("/api/v1/models/flights/deploy", body, format="json")
    assert answer.status_code == status, answer.json()
    assert Deployment.objects.exists() is (status == 202)


def test_deploy__twice_at_once__conflict(api: APIClient) -> None:
    make_version(number=1, stage="production")
    assert (
        api.post("/api/v1/models/flights/deploy", {"version": "1"}, format="json").status_code
        == 202
    )
    assert (
        api.post("/api/v1/models/flights/deploy", {"version": "1"}, format="json").status_code
        == 409
    )


@pytest.mark.parametrize(
    "change", [{"replicas": 0}, {"traffic_percentage": 101}, {"version": ""}, {"wait_s": 1e9}]
)
def test_deploy__impossible_request__bad_request(api: APIClient, change: dict[str, Any]) -> None:
    make_version(number=1, stage="production")
    answer = api.post("/api/v1/models/flights/deploy", {"version": "1"} | change, format="json")
    assert (answer.status_code, faults(answer)) == (400, [f"$.{next(iter(change))}"])
