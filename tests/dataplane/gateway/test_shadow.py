"""Shadows: compared with what was served, and without any effect on it."""

import socket
from typing import Any

import msgspec
import pytest

from benchmarks import rig
from contracts.policy import Mirror, Policy
from contracts.records import Comparison, Record
from contracts.routing import EndpointSpec, Limits, VariantSpec
from contracts.schema import FeatureSpec
from tests.dataplane.gateway.site import Site, eventually


def shadowed(site: Site, shadow: VariantSpec | None = None, **mirror: Any) -> EndpointSpec:
    """Version 1 serves everybody, version 2 is its shadow."""
    shadow = shadow or rig.variant(2, site.triton, key="shadow", role="shadow")
    return rig.endpoint(
        [rig.variant(1, site.triton), shadow],
        sample_rate=1.0,
        policy=Policy(mirrors=(Mirror(variant="shadow", **mirror),)),
    )


def comparisons(site: Site) -> dict[str, Comparison]:
    """By segment; the seconds added up as far as these tests look."""
    found: dict[str, Comparison] = {}
    for each in [each for batch in site.batches() for each in batch.comparisons]:
        known = found.get(each.segment)
        found[each.segment] = each if known is None else _both(known, each)
    return found


def _both(one: Comparison, other: Comparison) -> Comparison:
    names = ("rows", "labelled", "agreements", "timed", "shift_sum", "dropped")
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    kinds = {*one.errors, *other.errors}
    errors = {kind: one.errors.get(kind, 0) + other.errors.get(kind, 0) for kind in kinds}
    return msgspec.structs.replace(one, **sums, errors=errors)


def records(site: Site) -> list[Record]:
    return [record for batch in site.batches() for record in batch.records]


def test_shadow__every_unit_mirrored__is_compared_and_counts_nowhere_else(site: Site) -> None:
    site.serve(shadowed(site))
    served = [site.predict(f"u{number}").json() for number in range(12)]
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.rows == 12)
    found = comparisons(site)[""]
    assert (found.endpoint, found.shadow, found.baseline) == ("rig", "rig/2", "rig/1")
    assert (found.labelled, found.agreements, found.timed) == (12, 12, 12)
    assert 0 < found.shift_sum / 12 < 1
    assert {answer["model_version"] for answer in served} == {"1.0.0"}
    counters = [counter for batch in site.batches() for counter in batch.counters]
    assert {counter.variant for counter in counters} == {"stable"}
    assert site.requests_counted() == 12


def test_shadow__sampled_prediction__is_recorded_beside_the_served_one(site: Site) -> None:
    site.serve(shadowed(site))
    name = site.predict().json()["prediction_id"]
    eventually(lambda: len(records(site)) == 2)
    served, shadow = sorted(records(site), key=lambda record: record.shadow_of)
    assert (served.prediction_id, served.shadow_of, served.variant) == (name, "", "stable")
    assert (shadow.shadow_of, shadow.variant, shadow.version) == (name, "shadow", "rig/2")
    assert shadow.features == served.features
    assert shadow.prediction is not None
    assert served.prediction is not None
    assert shadow.prediction > served.prediction


def test_shadow__segments__split_the_comparison_by_feature(site: Site) -> None:
    site.serve(shadowed(site, segments=("carrier",)))
    for number in range(6):
        site.predict(f"u{number}", carrier="UA" if number % 3 else "AA")
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.rows == 6)
    assert {name: each.rows for name, each in comparisons(site).items()} == {
        "": 6,
        "carrier=AA": 2,
        "carrier=UA": 4,
    }


def test_shadow__its_failures__are_its_own(site: Site) -> None:
    broken = rig.variant(2, site.triton, key="shadow", role="shadow", entry="rig-v7")
    site.serve(shadowed(site, broken))
    assert site.predict().status == 200
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.errors)
    assert sum(comparisons(site)[""].errors.values()) == 1
    assert not [failure for batch in site.batches() for failure in batch.failures]
    assert all(not each.errors for batch in site.batches() for each in batch.counters)


def test_shadow__lacks_a_feature_that_it_needs__is_an_error_of_its_own(site: Site) -> None:
    features = (*rig.SCHEMA.features, FeatureSpec(name="age", kind="float"))
    schema = msgspec.structs.replace(rig.SCHEMA, features=features)
    newer = rig.variant(2, site.triton, key="shadow", role="shadow", schema=schema)
    site.serve(shadowed(site, newer))
    assert site.predict().status == 200
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.errors == {"features": 1})


def test_shadow__takes_fewer_features_in_another_order__is_asked_with_those(site: Site) -> None:
    kept = [each for each in rig.SCHEMA.features if each.name != "carrier"]
    schema = msgspec.structs.replace(rig.SCHEMA, features=tuple(reversed(kept)))
    other = rig.variant(2, site.triton, key="shadow", role="shadow", schema=schema)
    site.serve(shadowed(site, other))
    site.predict()
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.rows == 1)


def test_shadow__half_the_units__are_the_same_ones_again(site: Site) -> None:
    site.serve(shadowed(site, share=0.5))
    for _ in range(2):
        for number in range(20):
            site.predict(f"u{number}")
    eventually(lambda: len(records(site)) > 40 and site.requests_counted() == 40)
    mirrored = [record.unit for record in records(site) if record.shadow_of]
    assert 3 <= len(set(mirrored)) <= 17
    assert len(mirrored) == 2 * len(set(mirrored))


def test_shadow__pinned_version__is_not_mirrored(site: Site) -> None:
    site.serve(shadowed(site))
    assert site.predict(version=1).status == 200
    assert site.predict("u2").status == 200
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.rows == 1)
    assert site.requests_counted() == 2


def test_shadow__no_room__drops_and_counts_and_serves(site: Site) -> None:
    site.serve(shadowed(site, max_in_flight=0))
    assert all(site.predict(f"u{number}").status == 200 for number in range(5))
    eventually(lambda: (all_ := comparisons(site).get("")) and all_.dropped == 5)
    assert comparisons(site)[""].rows == 0
    text = site.get("/metrics").body.decode()
    assert 'shadow_rows_total{endpoint="rig",version="rig/2",result="dropped"} 5' in text


def test_shadow__its_server_hangs__serves_as_if_there_were_none(site: Site) -> None:
    """Two rows wait for it until their deadline, the others find no room; nobody else waits."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        hung = rig.variant(2, address, key="shadow", role="shadow")
        spec = shadowed(site, hung, max_in_flight=2)
        site.serve(msgspec.structs.replace(spec, limits=Limits(deadline_ms=2_000)))
        served = [site.predict(f"u{number}") for number in range(6)]
        assert [reply.status for reply in served] == [200] * 6
        eventually(lambda: (all_ := comparisons(site).get("")) and not_compared(all_) == 6)
    found = comparisons(site)[""]
    assert (found.rows, found.dropped >= 4) == (0, True)
    assert all(not each.errors for batch in site.batches() for each in batch.counters)


def not_compared(found: Comparison) -> int:
    return found.dropped + sum(found.errors.values())


@pytest.mark.parametrize("segment", ["x0", "unknown"])
def test_shadow__segment_that_may_not_be__keeps_the_last_good_form(
    site: Site, segment: str
) -> None:
    features = tuple(
        msgspec.structs.replace(each, pii="hash") if each.name == "x0" else each
        for each in rig.SCHEMA.features
    )
    schema = msgspec.structs.replace(rig.SCHEMA, features=features)
    spec = shadowed(site, segments=(segment,))
    private = tuple(msgspec.structs.replace(each, schema=schema) for each in spec.variants)
    site.serve()
    site.publisher.publish(msgspec.structs.replace(spec, variants=private))
    eventually(lambda: (report := site.report()) and segment in report.rejected_index)
    assert site.predict().status == 200
