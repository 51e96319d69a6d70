"""From an allocation to the specification that gateways serve: pure, and the gate of approval.

Whoever changes traffic, by whatever way, ends here; a version that its stage does not allow never
becomes part of a specification.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from apps.routing.ensembles import check_ensembles
from apps.routing.errors import InvalidSettings, InvalidWeights, NoBackend, VersionNotApproved
from apps.routing.fitting import fit
from apps.routing.plain import MEMBER, SHADOW, EndpointFacts, PhaseFacts, VariantFacts
from contracts.routing import BUCKETS, BucketRange, EndpointSpec, VariantRole, VariantSpec
from serving import allocation

ROLES: frozenset[str] = frozenset(get_args(VariantRole))
MAX_VARIANTS = 20


def compile_spec(
    endpoint: EndpointFacts, phase: PhaseFacts, *, acknowledged: Sequence[str] = ()
) -> EndpointSpec:
    """The specification of `endpoint` in `phase`.

    Raises VersionNotApproved or NoBackend naming the variant at fault, InvalidWeights when
    variants, weights and ranges do not describe one allocation, and InvalidSettings naming every
    field of a policy that this allocation cannot follow.
    """
    check_variants(phase.variants)
    check_allocation(phase)
    check_guardrails(phase)
    for number, variant in enumerate(phase.variants):
        check_approval(variant, path=f"weights[{number}].version")
    variants = tuple(
        _variant_spec(variant, path=f"weights[{number}].version")
        for number, variant in enumerate(phase.variants)
    )
    fitted = fit(endpoint, phase.variants)
    if fitted.refused:
        raise InvalidSettings(fitted.refused)
    return EndpointSpec(
        name=endpoint.name,
        team=endpoint.team,
        phase=phase.number,
        salt=phase.salt,
        unit_kind=endpoint.unit_kind,
        variants=variants,
        ranges=phase.ranges,
        sample_rate=endpoint.sample_rate,
        rollout=phase.rollout,
        experiment=phase.experiment,
        guardrails=phase.guardrails,
        acknowledged_overrides=tuple(sorted(acknowledged)),
        limits=endpoint.limits,
        policy=fitted.policy,
    )


def check_variants(variants: Sequence[VariantFacts]) -> None:
    """Refuse variants that make no allocation: keys, roles, weights. Raises InvalidWeights."""
    if not 1 <= len(variants) <= MAX_VARIANTS:
        raise InvalidWeights(f"an endpoint has 1 to {MAX_VARIANTS} variants", field="weights")
    seen: set[str] = set()
    for number, variant in enumerate(variants):
        _check_variant(variant, path=f"weights[{number}]", seen=seen)
        seen.add(variant.key)
    _check_stable(variants)
    check_ensembles(variants)
    total = sum(variant.weight for variant in variants)
    if total != BUCKETS:
        raise InvalidWeights(
            f"weights sum to {total}, not {BUCKETS:,} (hundredths of a percent)", field="weights"
        )


def _check_variant(variant: VariantFacts, *, path: str, seen: set[str]) -> None:
    if not variant.key:
        raise InvalidWeights("a variant needs a name", field=f"{path}.variant")
    if variant.key in seen:
        raise InvalidWeights(f"variant {variant.key!r} is listed twice", field=f"{path}.variant")
    if variant.role not in ROLES:
        known = ", ".join(sorted(ROLES))
        raise InvalidWeights(f"role {variant.role!r} is none of {known}", field=f"{path}.role")
    if variant.weight < 0:
        raise InvalidWeights("a weight cannot be negative", field=f"{path}.weight")
    if variant.role in (SHADOW, MEMBER) and variant.weight:
        raise InvalidWeights(
            f"a {variant.role} answers nobody by itself: its weight is 0", field=f"{path}.weight"
        )


def _check_stable(variants: Sequence[VariantFacts]) -> None:
    stable = [number for number, variant in enumerate(variants) if variant.role == "stable"]
    if len(stable) > 1:
        raise InvalidWeights("an endpoint has one stable variant", field=f"weights[{stable[1]}]")


def check_allocation(phase: PhaseFacts) -> None:
    """Refuse ranges that are not what the weights say. Raises InvalidWeights."""
    try:
        allocation.check_ranges(phase.ranges)
    except allocation.AllocationError as error:
        raise InvalidWeights(str(error), field="ranges") from error
    held = allocation.weights_of(phase.ranges)
    wanted = {variant.key: variant.weight for variant in phase.variants if variant.weight}
    if held != wanted:
        raise InvalidWeights(f"ranges give {held}, weights say {wanted}", field="ranges")


def check_guardrails(phase: PhaseFacts) -> None:
    """Refuse a guardrail that compares what is not there. Raises InvalidWeights."""
    keys = {variant.key for variant in phase.variants}
    for number, guardrail in enumerate(phase.guardrails):
        if not {guardrail.candidate, guardrail.baseline} <= keys:
            raise InvalidWeights(
                f"it compares {guardrail.candidate!r} with {guardrail.baseline!r}",
                field=f"guardrails[{number}]",
            )


def check_approval(variant: VariantFacts, *, path: str) -> None:
    """Refuse a role that the version's approval does not cover, whatever the weight.

    A variant of weight 0 may still be pinned or fallen back to, so only a shadow gets by with
    the approval for mirrored traffic. Raises VersionNotApproved.
    """
    version = variant.version
    if version.may_serve or (variant.role == SHADOW and version.may_shadow):
        return
    wanted = "mirrored traffic" if variant.role == SHADOW else "traffic"
    hint = "; it may only be a shadow" if version.may_shadow else ""
    raise VersionNotApproved(
        f"{version.key} is not approved for {wanted} as {variant.key}{hint}", field=path
    )


def _variant_spec(variant: VariantFacts, *, path: str) -> VariantSpec:
    version, backend = variant.version, variant.version.backend
    if backend is None or not backend.addresses:
        raise NoBackend(f"{version.key} is not deployed anywhere", field=path)
    return VariantSpec(
        key=variant.key,
        role=variant.role,
        version=version.key,
        number=version.number,
        semantic_version=version.semantic_version,
        entry=backend.entry,
        addresses=backend.addresses,
        schema=version.schema,
        labelling=version.labelling,
        ensemble=variant.ensemble,
        explainer=backend.explainer,
    )


def successors(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """New keys of the variants that go on: {old key: new key}, by version.

    Both map variant key to version key. A variant that keeps its key and version keeps its
    buckets; else the first new variant of the same version inherits them, so a canary that
    becomes stable moves nobody, and a new candidate in an old role inherits nothing.
    """
    names = {key: key for key, version in before.items() if after.get(key) == version}
    for key, version in before.items():
        heirs = (new for new, other in after.items() if other == version)
        heir = next((new for new in heirs if new not in names.values()), None)
        if key not in names and heir is not None:
            names[key] = heir
    return names


def next_ranges(
    ranges: Sequence[BucketRange],
    *,
    before: Mapping[str, str],
    after: Mapping[str, str],
    weights: Mapping[str, int],
) -> tuple[BucketRange, ...]:
    """The allocation that gives `weights` while the fewest buckets see another version.

    `before` and `after` map variant keys to version keys. Raises InvalidWeights.
    """
    names = successors(before, after)
    ended = {key: f"{key}\0ended" for key in before if key not in names}
    try:
        return allocation.reallocate(allocation.rename(ranges, {**names, **ended}), weights)
    except allocation.AllocationError as error:
        raise InvalidWeights(str(error), field="weights") from error


def moves(
    before: Sequence[BucketRange],
    after: Sequence[BucketRange],
    *,
    old_versions: Mapping[str, str],
    new_versions: Mapping[str, str],
) -> dict[tuple[str, str], int]:
    """How many buckets go from one version to another: {(from, to): buckets}."""
    counts: dict[tuple[str, str], int] = {}
    edges = sorted({item.stop for item in (*before, *after)})
    start = 0
    for stop in edges:
        old = old_versions[allocation.variant_at(before, start)]
        new = new_versions[allocation.variant_at(after, start)]
        if old != new:
            counts[old, new] = counts.get((old, new), 0) + stop - start
        start = stop
    return counts
