"""Ensembles: one answer from several members, counted once."""

from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import rig
from contracts.policy import DefaultPrediction, Ensemble, Fallback, Policy
from contracts.records import Counter
from contracts.routing import EndpointSpec, VariantSpec
from contracts.schema import Labelling
from tests.dataplane.gateway.site import Site, eventually
from tests.dataplane.gateway.test_predict import late


@pytest.fixture
def site(served: Site) -> Site:
    """One gateway for all: every test publishes what it needs."""
    return served


def ensemble(
    site: Site, combine: Any, member: VariantSpec | None = None, **more: Any
) -> EndpointSpec:
    """Versions 1 and 2 of the rig's model; the first is what clients are assigned."""
    policy = more.pop("policy", Policy())
    combined = Ensemble(combine=combine, members=("stable", "other"), **more)
    member = member or rig.variant(2, site.triton, key="other", role="member")
    return rig.endpoint(
        [rig.variant(1, site.triton, ensemble=combined), member], sample_rate=1.0, policy=policy
    )


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


@pytest.mark.parametrize(
    ("combine", "more", "expected"),
    [
        ("mean", {}, (late(1.0) + late(2.0)) / 2),
        ("weighted", {"weights": (1.0, 3.0)}, (late(1.0) + 3 * late(2.0)) / 4),
        (
            "stack",
            {"weights": (-4.0, 2.0), "intercept": 0.5},
            sigmoid(0.5 - 4 * late(1.0) + 2 * late(2.0)),
        ),
        ("vote", {}, 1.0),
    ],
)
def test_ensemble__of_two__combines_their_answers(
    site: Site, combine: str, more: dict[str, Any], expected: float
) -> None:
    site.publish(ensemble(site, combine, **more))
    answer = site.predict().json()
    assert answer["prediction"] == pytest.approx(expected, rel=1e-6)
    assert (answer["variant"], answer["model_version"]) == ("stable", "1.0.0")
    assert answer["label"] == ("late" if expected >= 0.5 else "on_time")


def test_ensemble__facts__count_one_request_and_every_call(site: Site) -> None:
    site.publish(msgspec.structs.replace(ensemble(site, "mean"), phase=50))
    for number in range(5):
        assert site.predict(f"u{number}").status == 200

    def counters() -> list[Counter]:
        return [each for batch in site.batches() for each in batch.counters if each.phase == 50]

    eventually(lambda: sum(counter.requests for counter in counters()) == 5)
    assert {counter.variant for counter in counters()} == {"stable"}
    assert sum(counter.batch_rows for counter in counters()) == 10
    records = [each for batch in site.batches() for each in batch.records if each.phase == 50]
    assert len(records) == 5


def test_ensemble__member_that_is_away__fails_the_row_with_its_kind(site: Site) -> None:
    away = rig.variant(2, site.triton, key="other", role="member", entry="rig-v7")
    site.publish(ensemble(site, "mean", away))
    assert site.predict().status in (502, 503)
    default = Fallback(default=DefaultPrediction(prediction=0.25, label="on_time"))
    site.publish(ensemble(site, "mean", away, policy=Policy(fallback=default)))
    answer = site.predict().json()
    assert (answer["prediction"], answer["fallback"]) == (0.25, "default")


def test_ensemble__row_that_one_member_cannot_answer__fails_alone(site: Site) -> None:
    site.publish(ensemble(site, "vote"))
    assert site.predict(code=rig.NAN_CODE).status == 502
    assert site.predict().status == 200


def test_ensemble__member_with_another_order_of_features__gets_its_own(site: Site) -> None:
    features = tuple(reversed(rig.SCHEMA.features))
    schema = msgspec.structs.replace(rig.SCHEMA, features=features)
    other = rig.variant(2, site.triton, key="other", role="member", schema=schema)
    site.publish(ensemble(site, "mean", other))
    assert site.predict().json()["prediction"] == pytest.approx((late(1.0) + late(2.0)) / 2)


def _impossible(site: Site) -> dict[str, EndpointSpec]:
    fewer = msgspec.structs.replace(rig.SCHEMA, features=rig.SCHEMA.features[:-1])
    swapped = Labelling(labels={"0": "late", "1": "on_time"})
    member: dict[str, Any] = {"key": "other", "role": "member"}
    spec = ensemble(site, "mean")
    return {
        "other features": ensemble(
            site, "mean", rig.variant(2, site.triton, **member, schema=fewer)
        ),
        "other labels": ensemble(
            site, "mean", rig.variant(2, site.triton, **member, labelling=swapped)
        ),
        "needs a weight": ensemble(site, "stack"),
        "no variant": msgspec.structs.replace(spec, variants=spec.variants[:1]),
    }


@pytest.mark.parametrize(
    "reason", ["other features", "other labels", "needs a weight", "no variant"]
)
def test_ensemble__that_cannot_be__is_refused_with_the_reason(site: Site, reason: str) -> None:
    site.publish(site.endpoint())
    site.publisher.publish(_impossible(site)[reason])
    eventually(lambda: (report := site.report()) and reason in report.rejected_index)
    assert site.predict().json()["prediction"] == np.float32(late(1.0))
