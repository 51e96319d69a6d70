"""What a policy must be, and what of it goes with an allocation: pure."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from apps.routing.compiler import compile_spec
from apps.routing.errors import InvalidSettings, InvalidWeights
from apps.routing.facts import settings_of
from apps.routing.fitting import BYSTANDERS, PARTS, Fitted, fit, parts_that_stay
from apps.routing.plain import (
    BackendFacts,
    EndpointFacts,
    PhaseFacts,
    TargetFacts,
    VariantFacts,
    VersionFacts,
)
from apps.routing.policy import complete
from contracts.policy import Breaker, Ensemble, Mirror, Policy
from contracts.schema import FeatureSpec, Labelling, ModelSchema, OutputKind, OutputSpec
from dataplane.gateway.table import compile_endpoint
from serving.allocation import allocate

AMOUNT = FeatureSpec(name="amount", kind="float")
CARRIER = FeatureSpec(name="carrier", kind="string")
TRIPS = FeatureSpec(name="trips", kind="integer", required=False)
EMAIL = FeatureSpec(name="email", kind="string", required=False, pii="hash")
FEATURES = (AMOUNT, CARRIER, TRIPS, EMAIL)
TARGETS = {
    "strong": TargetFacts("ops", True),
    "empty": TargetFacts("ops", False),
    "theirs": TargetFacts("risk", True),
}


def version(
    number: int, features: tuple[FeatureSpec, ...] = FEATURES, kind: OutputKind = "binary"
) -> VersionFacts:
    return VersionFacts(
        key=f"flights/{number}",
        number=number,
        semantic_version="",
        may_serve=True,
        may_shadow=True,
        schema=ModelSchema(features=features, tensors=(), output=OutputSpec(tensor="p", kind=kind)),
        labelling=Labelling(labels={"0": "on time", "1": "late"}),
        backend=BackendFacts(entry="flights-v1", addresses=("127.0.0.1:1",)),
    )


def variant(
    key: str, found: VersionFacts, weight: int = 0, role: Any = None, **more: Any
) -> VariantFacts:
    facts: dict[str, Any] = {"role": role or key, **more}
    return VariantFacts(key=key, version=found, weight=weight, **facts)


STABLE = variant("stable", version(1), 10_000)
BACKUP = variant("backup", version(2), role="fallback")
SHADOW = variant("shadow", version(3))


def endpoint(unit_kind: Any = "user", **policy: Any) -> EndpointFacts:
    return EndpointFacts(
        name="flights",
        team="ops",
        unit_kind=unit_kind,
        sample_rate=0.1,
        policy=msgspec.convert(policy, Policy),
        targets=TARGETS,
    )


def fitted(*variants: VariantFacts, may_leave_out: Any = (), **policy: Any) -> Fitted:
    return fit(endpoint(**policy), variants, may_leave_out=may_leave_out)


def rule(**condition: Any) -> dict[str, Any]:
    when = {"subject": "feature", "name": "amount", "comparison": "gt", "value": 1, **condition}
    return {"name": "large", "endpoint": "strong", "when": [when]}


SENSELESS = {
    "cache.ttl_s": {"cache": {"ttl_s": 0}},
    "cache.stale_s": {"cache": {"stale_s": -1}},
    "cache.colour": {"cache": {"colour": "red"}},
    "cache": {"cache": 60},
    "breaker.minimum": {"breaker": {"minimum": 0}},
    "breaker.error_share": {"breaker": {"error_share": 1.5}},
    "breaker.open_s": {"breaker": {"open_s": "soon"}},
    "fallback.default.label": {"fallback": {"default": {"prediction": 0.5}}},
    "lookup.features": {"lookup": {"features": []}},
    "lookup.features[1].name": {"lookup": {"features": [{"name": "a"}, {"name": "a"}]}},
    "lookup.budget_ms": {"lookup": {"features": [{"name": "a"}], "budget_ms": 1_000}},
    "mirrors": {"mirrors": {"variant": "shadow"}},
    "mirrors[0].share": {"mirrors": [{"variant": "shadow", "share": 0}]},
    "mirrors[1].variant": {"mirrors": [{"variant": "s"}, {"variant": "s"}]},
    "rules[0].when": {"rules": [{"name": "all", "endpoint": "strong", "when": []}]},
    "rules[1].name": {"rules": [rule(), rule()]},
    "rules[0].when[0].subject": {"rules": [rule(subject="moon")]},
    "rules[0].when[0].name": {"rules": [rule(name="")]},
    "rules[0].when[0].value": {"rules": [rule(comparison="lt", value="much")]},
    "wishes": {"wishes": 1},
}


@pytest.mark.parametrize(("path", "policy"), list(SENSELESS.items()), ids=list(SENSELESS))
def test_settings__that_make_no_sense__field_named(path: str, policy: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings_of({"policy": policy})
    assert [fault[0] for fault in caught.value.faults] == [f"settings.policy.{path}"]


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"subject": "tier", "name": "", "comparison": "in", "value": ["gold"]}, True),
        ({"subject": "tier", "name": "", "comparison": "eq", "value": "gold"}, True),
        ({"subject": "tier", "name": "", "comparison": "eq", "value": 1}, False),
        ({"subject": "payload_bytes", "name": "", "comparison": "ge", "value": 4_096}, True),
        ({"subject": "payload_bytes", "name": "", "comparison": "eq", "value": "big"}, False),
        ({"subject": "budget", "name": "", "comparison": "in", "value": ["1"]}, False),
        ({"comparison": "ne", "value": True}, True),
        ({"comparison": "lt", "value": True}, False),
        ({"comparison": "in", "value": "gold"}, False),
        ({"comparison": "eq", "value": ["gold"]}, False),
    ],
)
def test_condition__comparison_and_value__go_together(
    condition: dict[str, Any], fits: bool
) -> None:
    if fits:
        assert settings_of({"policy": {"rules": [rule(**condition)]}})
        return
    with pytest.raises(InvalidSettings) as caught:
        settings_of({"policy": {"rules": [rule(**condition)]}})
    assert caught.value.field == "settings.policy.rules[0].when[0].value"


def test_settings__several_faults__all_told() -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings_of({"limits": {"max_batch": 0}, "policy": {"cache": {"ttl_s": -1, "beta": -1}}})
    assert [path for path, _ in caught.value.faults] == [
        "settings.limits.max_batch",
        "settings.policy.cache.ttl_s",
        "settings.policy.cache.beta",
    ]


MISFITS = {
    "fallback.variant": {"fallback": {"variant": "ghost"}},
    "fallback.default.label": {"fallback": {"default": {"prediction": 0.5, "label": "maybe"}}},
    "fallback.default.prediction": {"fallback": {"default": {"prediction": 7, "label": "late"}}},
    "lookup.features[0].name": {"lookup": {"features": [{"name": "height", "default": 1}]}},
    "lookup.features[0].default": {"lookup": {"features": [{"name": "trips", "default": "many"}]}},
    "mirrors[0].variant": {"mirrors": [{"variant": "ghost"}]},
    "rules[0].endpoint": {"rules": [{**rule(), "endpoint": "ghost"}]},
    "rules[0].when[0].name": {"rules": [rule(name="height")]},
    "rules[0].when[0].value": {"rules": [rule(name="carrier", comparison="eq", value=1)]},
}


@pytest.mark.parametrize(("path", "policy"), list(MISFITS.items()), ids=list(MISFITS))
def test_policy__that_the_allocation_has_no_place_for__refused_by_field(
    path: str, policy: dict[str, Any]
) -> None:
    ranges = allocate({"stable": 10_000})
    phase = PhaseFacts(number=1, salt="s", variants=(STABLE,), ranges=ranges)
    with pytest.raises(InvalidSettings) as caught:
        compile_spec(endpoint(**policy), phase)
    assert [fault[0] for fault in caught.value.faults] == [f"settings.policy.{path}"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("flights", "itself"), ("theirs", "of team risk"), ("empty", "serves nothing")],
)
def test_rule__target_that_will_not_do__told_why(name: str, words: str) -> None:
    refused = fitted(STABLE, rules=[{**rule(), "endpoint": name}]).refused
    assert words in refused[0].detail


@pytest.mark.parametrize(("path", "policy"), list(MISFITS.items()), ids=list(MISFITS))
def test_policy__on_the_way_back__what_has_no_place_is_left_out(
    path: str, policy: dict[str, Any]
) -> None:
    found = fitted(STABLE, may_leave_out=PARTS, **policy)
    assert [fault.path for fault in found.left_out] == [f"settings.policy.{path}"]
    assert found.policy == Policy()


@pytest.mark.parametrize(
    ("part", "policy"),
    [
        ("fallback.variant", {"fallback": {"variant": "ghost"}}),
        ("mirrors", {"mirrors": [{"variant": "ghost"}]}),
        ("lookup", {"lookup": {"features": [{"name": "height", "default": 1}]}}),
        ("rules", {"rules": [rule(name="height")]}),
    ],
)
def test_policy__under_automation__only_bystanders_are_left_out(
    part: str, policy: dict[str, Any]
) -> None:
    found = fitted(STABLE, may_leave_out=BYSTANDERS, **policy)
    assert bool(found.left_out) == (part in BYSTANDERS)
    assert bool(found.refused) == (part not in BYSTANDERS)


def test_policy__that_fits__whole_in_the_specification() -> None:
    policy: dict[str, Any] = {
        "fallback": {"variant": "backup", "default": {"prediction": 0.2, "label": "on time"}},
        "lookup": {"features": [{"name": "trips", "default": 0}]},
        "mirrors": [{"variant": "shadow", "segments": ["carrier"]}],
        "rules": [rule()],
    }
    found = fitted(STABLE, BACKUP, SHADOW, **policy)
    assert (found.refused, found.left_out) == ((), ())
    assert found.policy == msgspec.convert(policy, Policy)
    facts = with_ensemble(MEAN, SECOND, BACKUP, SHADOW)
    assert compile_endpoint(compile_spec(endpoint(**policy), facts), "digest").mirrors


def test_lookup__default_that_one_variant_cannot_take__never_published() -> None:
    few = (AMOUNT, CARRIER, FeatureSpec(name="trips", kind="string", required=False), EMAIL)
    backup = replace(BACKUP, version=version(2, few))
    lookup = {"features": [{"name": "trips", "default": 0}]}
    assert fitted(STABLE, backup, lookup=lookup).refused
    assert fitted(STABLE, backup, may_leave_out=PARTS, lookup=lookup).policy.lookup is None


def test_fallback__to_a_shadow_or_the_unapproved__refused() -> None:
    unapproved = replace(BACKUP, version=replace(version(2), may_serve=False))
    for other in (replace(BACKUP, role="shadow"), unapproved):
        assert fitted(STABLE, other, fallback={"variant": "backup"}).refused


def test_fallback__to_the_only_one_that_serves__waits_without_a_fault() -> None:
    found = fitted(STABLE, BACKUP, fallback={"variant": "stable"})
    assert (found.refused, found.policy.fallback.variant) == ((), "")
    assert "cannot stand in for itself" in found.left_out[0].detail
    split = (replace(STABLE, weight=9_000), variant("canary", version(2), 1_000))
    assert fitted(*split, fallback={"variant": "stable"}).policy.fallback.variant == "stable"


@pytest.mark.parametrize(
    "other",
    [
        version(2, (*FEATURES, FeatureSpec(name="height", kind="float"))),
        version(2, (FeatureSpec(name="amount", kind="string"),)),
        version(2, kind="regression"),
    ],
)
def test_fallback__that_cannot_read_the_row__refused(other: VersionFacts) -> None:
    backup = replace(BACKUP, version=other)
    assert "cannot stand in" in fitted(STABLE, backup, fallback={"variant": "backup"}).refused[0][1]


def test_mirror__segment_that_is_private__refused() -> None:
    found = fitted(STABLE, SHADOW, mirrors=[{"variant": "shadow", "segments": ["email"]}])
    assert found.refused[0].path == "settings.policy.mirrors[0].segments[0]"


def test_lookup__where_each_request_is_a_unit__refused() -> None:
    lookup = {"features": [{"name": "trips", "default": 0}]}
    found = fit(endpoint(unit_kind="request", lookup=lookup), (STABLE,))
    assert found.refused[0].path == "settings.policy.lookup"


def test_lookup__feature_of_one_version_only__kept_on_the_way_back() -> None:
    old = variant("stable", version(1, (AMOUNT, CARRIER)), 9_000)
    new = variant("canary", version(2), 1_000)
    lookup = {"features": [{"name": "trips", "default": 0}]}
    assert fitted(old, new, lookup=lookup).refused
    assert fitted(old, new, may_leave_out=PARTS, lookup=lookup).policy.lookup is not None


def test_parts_that_stay__one_part_changed__the_others() -> None:
    before, after = Policy(), Policy(breaker=None, mirrors=(Mirror(variant="shadow"),))
    assert parts_that_stay(before, after) == PARTS - {"mirrors"}


def test_complete__policy__defaults_spelled_out() -> None:
    shown = complete(Policy(mirrors=(Mirror(variant="shadow"),)))
    assert shown["breaker"]["window_s"] == Breaker().window_s
    assert (shown["mirrors"][0]["share"], shown["cache"], shown["rules"]) == (1.0, None, [])


MEAN = Ensemble(combine="mean", members=("stable", "second"))
SECOND = variant("second", version(2), role="member")
WRONG: dict[str, tuple[Ensemble, VariantFacts]] = {
    "": (Ensemble(combine="mean", members=("stable",)), SECOND),
    ".members": (Ensemble(combine="mean", members=("second", "third")), SECOND),
    ".members[1]": (Ensemble(combine="mean", members=("stable", "ghost")), SECOND),
    ".weights": (msgspec.structs.replace(MEAN, weights=(0.5, 0.5)), SECOND),
    ".intercept": (msgspec.structs.replace(MEAN, intercept=1.0), SECOND),
}


def with_ensemble(ensemble: Ensemble, *others: VariantFacts) -> PhaseFacts:
    variants = (replace(STABLE, ensemble=ensemble), *others)
    ranges = allocate({"stable": 10_000})
    return PhaseFacts(number=1, salt="s", variants=variants, ranges=ranges)


@pytest.mark.parametrize(("path", "wrong"), list(WRONG.items()), ids=list(WRONG))
def test_ensemble__that_cannot_be__field_named(
    path: str, wrong: tuple[Ensemble, VariantFacts]
) -> None:
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(endpoint(), with_ensemble(*wrong))
    assert caught.value.field == f"weights[0].ensemble{path}"


@pytest.mark.parametrize(
    ("combine", "weights", "fits"),
    [
        ("weighted", (0.7, 0.3), True),
        ("weighted", (0.7, 0.7), False),
        ("weighted", (1.5, -0.5), False),
        ("weighted", (1.0,), False),
        ("stack", (2.0, -1.0), True),
        ("stack", (), False),
        ("vote", (), True),
    ],
)
def test_ensemble__weights__counted_and_summed(
    combine: Any, weights: tuple[float, ...], fits: bool
) -> None:
    ensemble = msgspec.structs.replace(MEAN, combine=combine, weights=weights)
    if fits:
        spec = compile_spec(endpoint(), with_ensemble(ensemble, SECOND))
        assert spec.variants[0].ensemble == ensemble
        return
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(endpoint(), with_ensemble(ensemble, SECOND))
    assert caught.value.field == "weights[0].ensemble.weights"


@pytest.mark.parametrize(
    "second",
    [
        replace(SECOND, version=version(2, (AMOUNT,))),
        replace(SECOND, version=version(2, kind="regression")),
        replace(SECOND, version=replace(version(2), labelling=Labelling())),
        replace(
            SECOND,
            version=replace(version(2), labelling=Labelling(labels={"1": "on time", "0": "late"})),
        ),
        replace(SECOND, role="shadow"),
        replace(SECOND, ensemble=Ensemble(combine="mean", members=("second", "stable"))),
    ],
)
def test_ensemble__member_that_does_not_go_with_it__refused(second: VariantFacts) -> None:
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(endpoint(), with_ensemble(MEAN, second))
    assert caught.value.field == "weights[0].ensemble.members[1]"


def test_member__of_no_ensemble__refused() -> None:
    phase = PhaseFacts(
        number=1, salt="s", variants=(STABLE, SECOND), ranges=allocate({"stable": 10_000})
    )
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(endpoint(), phase)
    assert caught.value.field == "weights[1].role"
