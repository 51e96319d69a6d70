"""Searching, comparing, and what was in production when: pages and their files."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.registry.models import ModelVersion, StageTransition
from apps.registry.production import Arrival, stretches, strip
from tests.pages import Window
from tests.registry.factories import make_model, make_user, make_version

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ada() -> Window:
    return Window(make_user("ada", Role.SCIENTIST))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"flights", "fraud"}),
        ("name=FLI", {"flights"}),
        ("tag=domain", {"flights"}),
        ("tag=domain:aviation", {"flights"}),
        ("tag=domain:banking", set()),
        ("metric=auc>=0.9", {"flights"}),
        ("metric=auc<0.9", {"fraud"}),
        ("stage=production", {"flights"}),
        ("tier=critical", {"fraud"}),
        ("owner=eve&team=ops", {"fraud"}),
    ],
)
def test_model_list__each_filter__finds_what_fits(ada: Window, query: str, found: set[str]) -> None:
    flights, fraud = make_model("flights"), make_model("fraud", owner="eve")
    flights.tags, fraud.tier = {"domain": "aviation"}, "critical"
    flights.save()
    fraud.save()
    make_version(model=flights, stage="production", allowance="all", metrics={"auc": 0.95})
    make_version(model=flights, metrics={"loss": 0.1})
    make_version(model=fraud, metrics={"auc": 0.7})
    page = ada.html(f"/models/?{query.replace('>', '%3E').replace('<', '%3C')}")
    assert {name for name in ("flights", "fraud") if f'"/models/{name}/"' in page} == found


def test_model_list__metric_that_is_no_comparison__field_named(ada: Window) -> None:
    answer = ada.client.get("/models/?metric=auc")
    assert answer.status_code == 422
    assert "Metric" in answer.content.decode()


def test_model_edit__with_reason__changed_and_kept_in_its_history(ada: Window) -> None:
    make_model()
    fields = {"description": "Late?", "tier": "critical", "owner": "ada", "tags": "domain: air"}
    page = ada.send("/models/flights/edit", **fields, reason="it matters now")
    assert {"Late?", "critical tier", "domain: air"} <= {
        text for text in ("Late?", "critical tier", "domain: air") if text in page
    }
    assert "it matters now" in ada.read("/models/flights/edit")
    status, text = ada.refused("/models/flights/edit", **{**fields, "tags": "x"}, reason="r")
    assert (status, "line 1 is not" in text) == (422, True)


def test_compare__ticked_in_the_list__older_left_and_changes_marked(ada: Window) -> None:
    make_version(metrics={"auc": 0.8, "loss": 0.3}, parameters={"depth": 3})
    make_version(metrics={"auc": 0.9, "loss": 0.4}, parameters={"depth": 3})
    answer = ada.client.get("/models/flights/compare?v=2&v=1")
    assert answer["Location"].endswith("compare?left=1&right=2")
    page = ada.read(answer["Location"])
    assert "auc 0.8 0.9 (changed) +0.1 (+12.5%) better" in page
    assert "loss 0.3 0.4 (changed) +0.1 (+33.3%) worse" in page
    assert "3 features, all the same." in page
    found = ada.client.get("/api/v1/models/flights/compare?left=1&right=2").json()
    assert (found["left"], found["changed"]) == ("flights/1", 2)
    assert ada.client.get("/models/flights/compare?v=1").status_code == 422


def move(version: ModelVersion, before: str, after: str, days: int) -> None:
    StageTransition.objects.create(
        version=version,
        from_stage=before,
        to_stage=after,
        to_allowance="all" if after in ("production", "deprecated") else "none",
        digest=version.content_digest(),
        actor_key="user:grace",
        reason=f"on day {days}",
        occurred_at=START + days * DAY,
    )


def test_history__any_moment__who_served_and_why(ada: Window) -> None:
    first, second = make_version(), make_version()
    move(first, "staging", "production", 1)
    move(second, "staging", "production", 5)
    move(first, "production", "deprecated", 6)
    then = ada.read("/models/flights/history?at=2026-03-04T00:00")
    assert "In production at 4 Mar 2026, 00:00 UTC v1 , since" in then
    assert "on day 1" in then
    early = ada.read("/models/flights/history?at=2026-03-01T00:00")
    assert "No version of flights was in production then." in early
    lines = text_of(ada.client, "/models/flights/history.csv")
    assert [line.split(",")[1:4] for line in lines[1:]] == [
        ["1", "2026-03-02T00:00:00+00:00", "2026-03-07T00:00:00+00:00"],
        ["2", "2026-03-06T00:00:00+00:00", ""],
    ]
    assert ada.client.get("/models/flights/history?at=x").status_code == 422


def text_of(client: Client, path: str) -> list[str]:
    return client.get(path).getvalue().decode().splitlines()


def test_strip__stretches_that_overlap__lie_in_lanes() -> None:
    moves = [
        Arrival(1, 1, into_production=True, occurred_at=START),
        Arrival(2, 2, into_production=True, occurred_at=START + DAY),
        Arrival(3, 1, into_production=False, occurred_at=START + 2 * DAY),
        Arrival(4, 3, into_production=True, occurred_at=START + 3 * DAY),
    ]
    found = strip(stretches(moves), at=START + DAY, now=START + 4 * DAY)
    assert [bar.stretch.number for bar in found.bars if bar.chosen] == [1, 2]
    lanes = [bar.y for bar in found.bars]
    assert lanes[0] == lanes[2] != lanes[1]
    assert (found.at_x, found.ticks[-1].x) == (250.0, 1000.0)


def test_version_tabs__each__opens_and_unknown_ones_are_404(ada: Window) -> None:
    make_version(stage="production", allowance="all")
    make_version(metrics={"accuracy": 0.9}, description="Retrained.")
    tabs = "evidence metrics schema lineage explain deployments card history"
    for tab in tabs.split():
        assert "flights v2" in ada.read(f"/models/flights/versions/2/{tab}/")
    assert "Retrained." in ada.read("/models/flights/versions/2/")
    assert ada.client.get("/models/flights/versions/2/moon/").status_code == 404


def test_version_page__pending_and_failed__say_what_goes_on(ada: Window) -> None:
    make_version(status="pending", artifact_digest="", input_schema={}, output_schema={})
    make_version(status="failed", artifact_digest="", status_detail="no such run")
    assert "Its artifact is being taken over" in ada.read("/models/flights/versions/1/")
    assert "No schema yet" in ada.read("/models/flights/versions/1/schema/")
    assert "no such run" in ada.read("/models/flights/versions/2/")


def test_audit_event__in_full__shows_what_changed(ada: Window) -> None:
    make_model()
    ada.send("/models/flights/edit", description="Late?", tags="", reason="said at last")
    listed = ada.html("/audit/?object=model:flights&verb=model.*")
    (address,) = set(re.findall(r"/audit/[0-9a-f-]{36}/", listed))
    page = ada.read(address)
    assert "description Late?" in page
    assert "said at last" in page
    (line,) = text_of(ada.client, "/api/v1/events.jsonl?verb=model.updated")
    assert '"reason":"said at last"' in line
