"""A candidate mirrored by a real gateway, judged where somebody decides by it."""

from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from apps.accounts.access import Role
from apps.monitoring.models import PredictionRow
from apps.routing import services
from benchmarks import rig
from tests.accounts.factories import service_account, token
from tests.chaos.table import make_rig_version
from tests.chaos.world import PATIENT, World
from tests.pages import Window
from tests.registry.factories import asked, make_model, make_user, make_validation
from tests.routing.factories import operator, route, shadow, stable

ROWS, LABELLED = 330, 150
CARRIERS = ("AA", "DL", "UA")
Floats = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Traffic:
    """Rows `[n, 8]` of many users, and what the rig's two versions make of them."""

    numbers: Floats
    late: dict[int, Floats]

    @classmethod
    def drawn(cls) -> "Traffic":
        numbers = np.random.default_rng(11).normal(scale=3.0, size=(ROWS, len(rig.NUMBERS)))
        linear = numbers @ np.linspace(-0.5, 0.5, len(rig.NUMBERS))
        return cls(numbers, {bias: 1 / (1 + np.exp(-linear - bias)) for bias in (1, 2)})

    def features(self, row: int) -> dict[str, Any]:
        numbers = dict(zip(rig.NUMBERS, self.numbers[row].tolist(), strict=True))
        return rig.example(**numbers, carrier=CARRIERS[row % 3])

    def label(self, row: int, version: int) -> str:
        return rig.LABELS[str(int(self.late[version][row] >= 0.5))]

    def agreements(self, carrier: int | None = None) -> int:
        """Rows, of one carrier or of all, to which both versions give the same label."""
        rows = [row for row in range(ROWS) if carrier in (None, row % 3)]
        return sum(self.label(row, 1) == self.label(row, 2) for row in rows)


@pytest.mark.proof
def test_shadow__mirrored_and_labelled__is_judged_where_a_release_is_decided(
    governed_world: World,
) -> None:
    world, traffic = governed_world, Traffic.drawn()
    candidate, key = _mirrored(world.triton)
    world.start("gateway", "recorder", "ingest")
    world.wait_for(2)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{world.port}", headers={"Authorization": f"Bearer {key}"}
    ) as client:
        answers = [_ask(client, traffic, row) for row in range(ROWS)]
        assert {answer["model_version"] for answer in answers} == {"1"}
        # Whoever labels agrees with the candidate, but for every tenth row.
        truths = [traffic.label(row, 1 if row % 10 == 0 else 2) for row in range(LABELLED)]
        _label(client, answers, truths)
    world.settle()
    grace = Window(make_user("grace", Role.APPROVER))
    (found,) = grace.client.get("/api/v1/endpoints/rig/shadow").json()["comparisons"]
    _check_comparison(found, traffic)
    _check_truth(found["truth"], traffic, truths)
    make_validation(candidate)
    page = grace.read(f"/approvals/{asked(candidate).pk}/")
    assert f"{100 * traffic.agreements() / ROWS:.2f} %" in page
    assert "carrier=AA" in page
    assert f"By {LABELLED} labels the shadow is more often right." in page
    assert PredictionRow.objects.count() == ROWS


def _mirrored(triton: str) -> tuple[Any, str]:
    """Version 1 serves, version 2 is its shadow, by the control plane; and a client's key."""
    one = make_rig_version(1, triton)
    two = make_rig_version(2, triton, stage="staging")
    endpoint = services.create_endpoint(
        actor=operator(),
        name="rig",
        model=make_model("rig"),
        sample_rate=1.0,
        settings={"limits": msgspec.to_builtins(PATIENT)},
    )
    route(endpoint, stable(one), shadow(two))
    services.update_endpoint(
        actor=operator(),
        endpoint=endpoint,
        settings={"policy": {"mirrors": [{"variant": "shadow", "segments": ["carrier"]}]}},
        reason="everybody, by carrier",
    )
    key = token(service_account(Role.CLIENT))[1]
    services.publish_clients()
    return two, key


def _ask(client: httpx.Client, traffic: Traffic, row: int) -> dict[str, Any]:
    question = {"model": "rig", "features": traffic.features(row), "user_id": f"user-{row}"}
    answer: dict[str, Any] = client.post("/v1/predict", json=question).raise_for_status().json()
    return answer


def _label(client: httpx.Client, answers: list[dict[str, Any]], truths: list[str]) -> None:
    outcomes = [
        {
            "outcome_id": f"o{number}",
            "prediction_id": answer["prediction_id"],
            "metric": "label",
            "value": truth,
            "timestamp": "2026-03-01T12:00:00Z",
        }
        for number, (answer, truth) in enumerate(zip(answers, truths, strict=False))
    ]
    client.post("/v1/outcomes", json={"outcomes": outcomes}).raise_for_status()


def _check_comparison(found: dict[str, Any], traffic: Traffic) -> None:
    """Agreement and score shift are those of the models; every row is compared, by segment too."""
    assert (found["version"], found["baseline"]) == ("rig/2", "rig/1")
    all_rows = found["traffic"]
    assert (all_rows["rows"], all_rows["timed"], all_rows["dropped"]) == (ROWS, ROWS, 0)
    assert all_rows["agreements"] == traffic.agreements()
    shift = float((traffic.late[2] - traffic.late[1]).mean())
    assert all_rows["mean_shift"] == pytest.approx(shift, abs=1e-5)
    assert all_rows["mean_delay_ms"] is not None
    segments = {each["name"]: each["traffic"] for each in found["segments"]}
    assert set(segments) == {f"carrier={name}" for name in CARRIERS}
    for number, name in enumerate(CARRIERS):
        one = segments[f"carrier={name}"]
        assert (one["rows"], one["agreements"]) == (ROWS // 3, traffic.agreements(number))
        assert one["mean_delay_ms"] is not None


def _check_truth(found: dict[str, Any], traffic: Traffic, truths: list[str]) -> None:
    right = {
        version: sum(traffic.label(row, version) == truth for row, truth in enumerate(truths))
        for version in (1, 2)
    }
    assert (found["sampled"], found["total"]) == (ROWS, LABELLED)
    assert found["shadow"]["correct"] == right[2]
    assert found["baseline"]["correct"] == right[1]
    assert found["difference"] == pytest.approx((right[2] - right[1]) / LABELLED)
    assert 0 < found["difference_interval"]["low"] < found["difference"]
