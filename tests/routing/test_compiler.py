"""The pure compiler: the gate that no unapproved version passes."""

from dataclasses import replace
from itertools import product

import pytest

from apps.events.errors import DomainError
from apps.routing.compiler import ROLES, compile_spec, moves, next_ranges, successors
from apps.routing.errors import InvalidWeights, NoBackend, VersionNotApproved
from apps.routing.plain import BackendFacts, EndpointFacts, PhaseFacts, VariantFacts, VersionFacts
from contracts.routing import BucketRange, Guardrail, decode_spec, encode_spec, spec_digest
from contracts.schema import Labelling, ModelSchema, OutputSpec
from serving.allocation import allocate

ENDPOINT = EndpointFacts(name="flights", team="ops", unit_kind="user", sample_rate=0.01)
SCHEMA = ModelSchema(features=(), tensors=(), output=OutputSpec(tensor="p"))
ONE = VersionFacts(
    key="flights/1",
    number=1,
    semantic_version="",
    may_serve=True,
    may_shadow=True,
    schema=SCHEMA,
    labelling=Labelling(),
    backend=BackendFacts(entry="flights-v1", addresses=("127.0.0.1:1",)),
)
TWO = replace(ONE, key="flights/2", number=2)
STAGING = replace(TWO, may_serve=False)
DEV = replace(TWO, may_serve=False, may_shadow=False)


def variant(key: str, version: VersionFacts, weight: int, role: str = "") -> VariantFacts:
    return VariantFacts(key=key, role=role or key, version=version, weight=weight)  # type: ignore[arg-type]  # roles are checked here


def phase(*variants: VariantFacts) -> PhaseFacts:
    weights = {item.key: item.weight for item in variants if item.weight}
    possible = sum(weights.values()) == 10_000 and min(weights.values()) > 0
    ranges = allocate(weights) if possible else ()
    return PhaseFacts(number=1, salt="s", variants=variants, ranges=ranges)


def test_compile__approved_split__every_field_carried() -> None:
    facts = phase(variant("stable", ONE, 9_500), variant("canary", TWO, 500))
    spec = compile_spec(ENDPOINT, facts, acknowledged=["b", "a"])
    assert [item.key for item in spec.variants] == ["stable", "canary"]
    assert spec.ranges == (BucketRange(0, 9_500, "stable"), BucketRange(9_500, 10_000, "canary"))
    assert spec.acknowledged_overrides == ("a", "b")


def test_spec__encoded__comes_back_by_its_digest() -> None:
    spec = compile_spec(ENDPOINT, phase(variant("stable", ONE, 10_000)))
    body = encode_spec(spec)
    assert decode_spec(body, digest=spec_digest(body)) == spec
    with pytest.raises(ValueError, match="do not match"):
        decode_spec(body + b" ", digest=spec_digest(body))


@pytest.mark.parametrize(
    ("role", "weight"), list(product(sorted(ROLES - {"shadow", "member"}), (0, 500)))
)
@pytest.mark.parametrize("version", [STAGING, DEV])
def test_compile__unapproved_in_any_serving_role__refused(
    version: VersionFacts, role: str, weight: int
) -> None:
    other = "arm" if role == "stable" else "stable"
    facts = phase(variant("x", ONE, 10_000 - weight, other), variant("y", version, weight, role))
    with pytest.raises(VersionNotApproved) as caught:
        compile_spec(ENDPOINT, facts)
    assert caught.value.field == "weights[1].version"


def test_compile__staging_version_as_shadow__allowed() -> None:
    facts = phase(variant("stable", ONE, 10_000), variant("shadow", STAGING, 0))
    assert compile_spec(ENDPOINT, facts).variants[1].role == "shadow"


def test_compile__dev_version_as_shadow__refused() -> None:
    facts = phase(variant("stable", ONE, 10_000), variant("shadow", DEV, 0))
    with pytest.raises(VersionNotApproved, match="mirrored"):
        compile_spec(ENDPOINT, facts)


@pytest.mark.parametrize("backend", [None, BackendFacts(entry="flights-v1", addresses=())])
def test_compile__loaded_nowhere__no_backend(backend: BackendFacts | None) -> None:
    with pytest.raises(NoBackend):
        compile_spec(ENDPOINT, phase(variant("stable", replace(ONE, backend=backend), 10_000)))


FAULTS = {
    "no variants": (),
    "sum": (variant("stable", ONE, 9_999),),
    "negative": (variant("stable", ONE, 10_001), variant("canary", TWO, -1)),
    "twice": (variant("a", ONE, 5_000, "arm"), variant("a", TWO, 5_000, "arm")),
    "unnamed": (variant("", ONE, 10_000, "stable"),),
    "unknown role": (variant("champion", ONE, 10_000),),
    "two stable": (variant("a", ONE, 5_000, "stable"), variant("b", TWO, 5_000, "stable")),
    "heavy shadow": (variant("stable", ONE, 9_000), variant("shadow", TWO, 1_000)),
}


@pytest.mark.parametrize("variants", list(FAULTS.values()), ids=list(FAULTS))
def test_compile__no_allocation__field_named(variants: tuple[VariantFacts, ...]) -> None:
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(ENDPOINT, phase(*variants))
    assert str(caught.value.field).startswith("weights")


@pytest.mark.parametrize(
    "ranges",
    [
        (),
        (BucketRange(0, 9_999, "stable"),),
        (BucketRange(0, 5_000, "stable"), BucketRange(5_000, 10_000, "ghost")),
    ],
)
def test_compile__ranges_that_are_not_the_weights__refused(
    ranges: tuple[BucketRange, ...],
) -> None:
    facts = replace(phase(variant("stable", ONE, 10_000)), ranges=ranges)
    with pytest.raises(InvalidWeights):
        compile_spec(ENDPOINT, facts)


@pytest.mark.parametrize(("candidate", "fits"), [("canary", True), ("ghost", False)])
def test_compile__guardrail__compares_variants_that_are_there(candidate: str, fits: bool) -> None:
    facts = phase(variant("stable", ONE, 9_500), variant("canary", TWO, 500))
    guardrail = Guardrail(rollout="rollout:1", candidate=candidate, baseline="stable")
    guarded = replace(facts, guardrails=(guardrail,))
    if fits:
        assert compile_spec(ENDPOINT, guarded).guardrails == (guardrail,)
        return
    with pytest.raises(InvalidWeights) as caught:
        compile_spec(ENDPOINT, guarded)
    assert caught.value.field == "guardrails[0]"


def test_errors__of_the_compiler__are_domain_errors() -> None:
    assert issubclass(VersionNotApproved, DomainError)
    assert VersionNotApproved.status == 409
    assert InvalidWeights.status == 422


def test_successors__canary_becomes_stable__inherits() -> None:
    assert successors({"stable": "m/1", "canary": "m/2"}, {"stable": "m/2"}) == {"canary": "stable"}


def test_successors__same_version_twice__each_keeps_its_own() -> None:
    both = {"a": "m/1", "b": "m/1"}
    assert successors(both, both) == {"a": "a", "b": "b"}


def test_next_ranges__promotion__moves_the_holdback_only() -> None:
    before = {"stable": "m/1", "canary": "m/2"}
    ranges = allocate({"stable": 500, "canary": 9_500})
    after = next_ranges(ranges, before=before, after={"stable": "m/2"}, weights={"stable": 10_000})
    counts = moves(ranges, after, old_versions=before, new_versions={"stable": "m/2"})
    assert counts == {("m/1", "m/2"): 500}
