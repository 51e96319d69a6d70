"""What governs promotions, over REST: one path through it all, and what is refused."""

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.registry import services
from apps.registry.models import ModelVersion
from tests.conftest import Configure
from tests.registry.factories import (
    approver,
    asked,
    make_model,
    make_version,
    person,
    scientist,
    validated_version,
)
from tests.registry.test_api import bearer

pytestmark = pytest.mark.django_db
WINDOW = {"type": "span", "start": "2020-01-01T00:00:00", "end": "2099-01-01T00:00:00"}
FREEZE = {
    "team": "ops",
    "title": "For ever",
    "window": WINDOW,
    "zone": "Europe/Berlin",
    "reason": "the books",
}
POLICY = {
    "team": "ops",
    "stage": "staging",
    "rules": {"checks": {"regression": {"waivable": True}}},
    "reason": "decided",
}


@pytest.fixture
def call(client: Client) -> Any:
    """`call(actor, "GET", path, body, expected status)` -> answer, read."""

    def send(
        actor: Principal, method: str, path: str, body: object = None, status: int = 200
    ) -> Any:
        answer = client.generic(
            method,
            f"/api/v1{path}",
            data=b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": bearer(actor)},
        )
        assert answer.status_code == status, answer.content
        return answer.json()

    return send


def test_promotion__under_a_policy_and_in_a_freeze__over_rest(call: Any, client: Client) -> None:
    root = person("root", Role.ADMIN)
    make_version(stage="production", metrics={})
    made = call(root, "POST", "/promotion-policies", POLICY, 201)
    assert (made["number"], made["team"]) == (1, "ops")
    assert call(scientist(), "GET", "/promotion-policies?stage=staging")["results"] == [made]
    terms = call(scientist(), "GET", "/models/flights/promotion-terms?stage=staging")
    assert terms["terms"][0]["source"] == "policy:ops/staging/*, edition 1"
    assert [stage["key"] for stage in terms["stages"]] == ["dev", "staging", "production"]
    freeze = call(root, "POST", "/freeze-windows", FREEZE, 201)
    request = asked(validated_version(number=2))
    place = f"/promotion-requests/{request.pk}"
    assert call(approver(), "GET", "/promotion-inbox?box=mine")["results"][0]["id"] == str(
        request.pk
    )
    found = call(approver(), "GET", f"{place}/dossier")
    assert found["missing"] == [
        "No regression against the champion could not tell",
        "1 more approval",
    ]
    assert (found["freeze"], found["can_sign"], found["refusal"]) == ("For ever", False, "")
    again = call(scientist(), "POST", f"{place}/checks/rerun", {"checks": ["regression"]}, 202)
    assert (again["done"], again["total"]) == (2, 2)
    why = {"reason": "the first of its kind"}
    call(scientist(), "POST", f"{place}/checks/regression/waive", why, 403)
    call(approver(), "POST", f"{place}/checks/regression/waive", why)
    checks = call(approver(), "GET", f"{place}/checks")["checks"]
    assert checks[-1]["waived_by"] == "user:grace"
    assert call(approver(), "POST", f"{place}/approve", why, 409)["type"].endswith("frozen")
    broken = call(approver("vera"), "POST", f"{place}/break-glass", {"reason": "fraud"})
    assert broken["glass_broken_by"] == "user:vera"
    signed = call(approver(), "POST", f"{place}/approve", why)
    assert signed["state"] == "approved"
    assert signed["approvals"][0]["digest"] == signed["signed_digest"]
    said = call(approver(), "POST", f"{place}/comments", {"body": "Once only."}, 201)
    call(approver(), "PATCH", f"{place}/comments/{said['id']}", {"body": "Only once."})
    (comment,) = call(scientist(), "GET", f"{place}/comments")["results"]
    assert (comment["body"], comment["editions"][0]["body"]) == ("Only once.", "Once only.")
    call(root, "POST", f"/freeze-windows/{freeze['id']}/cancel", {"reason": "counted"})
    at = timezone.now().isoformat().replace("+00:00", "Z")
    path = f"/models/flights/history?at={at}&stage=staging"
    (row,) = call(scientist(), "GET", path)["results"]
    assert (row["version"], row["approved_by"], row["broke_glass"]) == (2, ["user:grace"], True)
    assert (row["intact"], row["traffic"], row["policy"]) == (True, "shadow", made_source(made))
    early = "/models/flights/history?at=2020-01-01T00:00:00Z"
    assert call(scientist(), "GET", early)["results"] == []
    headers = {"Authorization": bearer(scientist())}
    answer = client.get("/api/v1/models/flights/history.csv", headers=headers)
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # streams
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["version"], line["glass_reason"], line["intact"]) == ("2", "fraud", "True")


def made_source(made: dict[str, Any]) -> str:
    return f"policy:ops/{made['stage']}/*, edition {made['number']}"


def test_ladder__over_rest__its_stages_can_be_asked_for(call: Any) -> None:
    root, version = person("root", Role.ADMIN), validated_version()
    stages = [
        {"key": "dev", "title": "Development", "allowance": "none"},
        {"key": "qa", "title": "Quality", "allowance": "none"},
        {"key": "live", "title": "Live", "allowance": "all"},
    ]
    body = {"team": "ops", "stages": stages, "reason": "the regulator"}
    call(root, "POST", "/stage-ladders", body, 201)
    place = f"/models/flights/versions/{version.number}/promotion-requests"
    wrong = call(scientist(), "POST", place, {"stage": "staging", "reason": "up"}, 422)
    assert wrong["errors"][0] == {"path": "$.stage", "detail": "must be one of qa, live"}
    asked_for = call(scientist(), "POST", place, {"stage": "qa", "reason": "up"}, 201)
    call(approver(), "POST", f"/promotion-requests/{asked_for['id']}/approve", {"reason": "ok"})
    shown = call(scientist(), "GET", "/models/flights/versions/1")
    assert (shown["stage"], shown["allowance"], shown["traffic"]) == ("qa", "none", "none")
    assert ModelVersion.objects.get().approved_terms
    assert len(call(scientist(), "GET", "/stage-ladders?team=ops")["results"]) == 1


def test_hook__over_rest__its_secret_is_shown_once(call: Any, configure: Configure) -> None:
    configure(outbound_allow="127.0.0.1")
    root = person("root", Role.ADMIN)
    make_model()
    body = {"team": "ops", "name": "scan", "url": "http://127.0.0.1:9/x"}
    assert call(root, "POST", "/check-hooks", body, 201)["secret"].startswith("whsec_")
    (listed,) = call(scientist(), "GET", "/check-hooks")["results"]
    assert "secret" not in listed
    names = [one["name"] for one in call(scientist(), "GET", "/checks")]
    assert {"hook:scan", "golden", "bias", "regression"} <= set(names)
    call(root, "POST", "/check-hooks/scan/disable", {"reason": "gone"})
    call(root, "POST", "/check-hooks/none/disable", {"reason": "gone"}, 404)


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/promotion-policies", {**POLICY, "rules": {"approvals": 99}}, 422, "$.rules.approvals"),
        ("/promotion-policies", {**POLICY, "stage": "moon"}, 422, "$.stage"),
        ("/promotion-policies", {**POLICY, "colour": 1}, 400, "$.colour"),
        ("/stage-ladders", {"stages": [], "reason": ""}, 400, "$.reason"),
        ("/freeze-windows", {**FREEZE, "zone": "Mars"}, 422, "$.zone"),
        ("/freeze-windows", {**FREEZE, "window": {"type": "moon"}}, 422, "$.window.type"),
        ("/check-hooks", {"name": "x", "url": "http://10.0.0.1"}, 422, "$.url"),
        ("/check-hooks", {"name": "x", "url": "https://a.b", "attempts": 0}, 400, "$.attempts"),
    ],
)
def test_bad_input__of_each_resource__names_the_field(
    call: Any, path: str, body: object, status: int, field: str
) -> None:
    make_model()
    answer = call(person("root", Role.ADMIN), "POST", path, body, status)
    assert [error["path"] for error in answer["errors"]] == [field]
    call(scientist(), "POST", path, body, 403)


def test_reads__of_many_rows__ask_as_often_as_of_few(call: Any) -> None:
    root = person("root", Role.ADMIN)
    first = asked()
    place = f"/promotion-requests/{first.pk}"

    def more(count: int) -> None:
        for _ in range(count):
            call(root, "POST", "/freeze-windows", {**FREEZE, "stage": "production"}, 201)
            call(root, "POST", "/promotion-policies", {**POLICY, "stage": "production"}, 201)
            said = call(approver(), "POST", f"{place}/comments", {"body": "Why?"}, 201)
            call(approver(), "PATCH", f"{place}/comments/{said['id']}", {"body": "How?"})
            done = asked(validated_version(number=make_model().last_number + 1))
            services.approve(actor=approver(), request=done)

    def counts() -> dict[str, int]:
        found = {}
        for path in (
            *("/freeze-windows", "/promotion-policies", "/stage-ladders", "/promotion-requests"),
            *("/promotion-inbox?box=all", "/promotion-inbox?box=mine", f"{place}/comments"),
            *(f"{place}/dossier", f"{place}/checks", "/models/flights/history"),
        ):
            call(approver(), "GET", path)
            with CaptureQueriesContext(connection) as seen:
                call(approver(), "GET", path)
            found[path] = len(seen)
        return found

    more(1)
    few = counts()
    more(2)
    assert counts() == few
