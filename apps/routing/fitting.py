"""Whether a policy can be followed with the variants that an endpoint has: pure.

A policy is written once and outlives many allocations. What of it does not fit is refused, or, for
callers that must not be held up by it, left out of the specification; `fit` tells both.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from apps.routing.errors import Fault
from apps.routing.plain import SHADOW, EndpointFacts, TargetFacts, VariantFacts
from contracts.policy import (
    Condition,
    DefaultPrediction,
    Fallback,
    Lookup,
    LookupFeature,
    Mirror,
    Policy,
    Rule,
)
from contracts.schema import FeatureKind, FeatureSpec
from serving.lookup import StoredFeatures
from serving.validation import SchemaError

Item = TypeVar("Item")

# What an allocation may have no place for. Without the bystanders every answer is still the same
# while all goes well, so an automated change of weights goes on without them.
BYSTANDERS = frozenset({"mirrors", "fallback.variant"})
PARTS = BYSTANDERS | {"fallback.default", "lookup", "rules"}
POLICY = "settings.policy"
VALUES: Mapping[FeatureKind, tuple[type, ...]] = {
    "float": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "string": (str,),
}


@dataclass(frozen=True)
class Fitted:
    """The policy that can be followed, what was left out of it, and what is refused."""

    policy: Policy
    left_out: tuple[Fault, ...]
    refused: tuple[Fault, ...]


@dataclass(frozen=True)
class _Place:
    """Where a policy is to fit: `serving` are the variants with buckets, by key in `variants`."""

    endpoint: EndpointFacts
    variants: Mapping[str, VariantFacts]
    serving: tuple[VariantFacts, ...]
    features: Mapping[str, FeatureSpec]


def fit(
    endpoint: EndpointFacts,
    variants: Sequence[VariantFacts],
    *,
    may_leave_out: Collection[str] = (),
) -> Fitted:
    """What of `endpoint.policy` goes with the variants; faults of PARTS not named are refused.

    A fallback to the one variant that serves is no fault: it waits for the next one.
    """
    place = _place(endpoint, variants)
    policy = endpoint.policy
    found = {part: list(check(policy, place)) for part, check in _CHECKS.items()}
    left_out = [*_idle(policy.fallback, place)]
    refused: list[Fault] = []
    for part, faults in found.items():
        (left_out if part in may_leave_out else refused).extend(faults)
    fitted = _without(policy, {fault.path for fault in left_out}, place)
    return Fitted(fitted, tuple(left_out), tuple(refused))


def parts_that_stay(before: Policy, after: Policy) -> frozenset[str]:
    """The PARTS that a change of policy leaves as they were."""
    return frozenset(part for part in PARTS if _part(before, part) == _part(after, part))


def _part(policy: Policy, part: str) -> object:
    found: object = policy
    for name in part.split("."):
        found = getattr(found, name)
    return found


def _place(endpoint: EndpointFacts, variants: Sequence[VariantFacts]) -> _Place:
    serving = tuple(variant for variant in variants if variant.weight)
    offered = [{item.name: item for item in one.version.schema.features} for one in serving]
    first, *others = offered or [{}]
    return _Place(
        endpoint=endpoint,
        variants={variant.key: variant for variant in variants},
        serving=serving,
        features={
            name: spec
            for name, spec in first.items()
            if all(name in other and other[name].kind == spec.kind for other in others)
        },
    )


def _fallback_variant(policy: Policy, place: _Place) -> Iterator[Fault]:
    key = policy.fallback.variant
    if not key:
        return
    variant, path = place.variants.get(key), f"{POLICY}.fallback.variant"
    if variant is None:
        yield Fault(path, f"there is no variant {key!r}; {_known(place)}")
    elif variant.role == SHADOW:
        yield Fault(path, f"{key} is a shadow: nobody may see its answers")
    elif not variant.version.may_serve:
        yield Fault(path, f"{variant.version.key} is not approved for traffic")
    elif reason := _unlike(variant, place) or _other_shape(variant, place):
        yield Fault(path, f"{key} cannot stand in: {reason}")


def _idle(fallback: Fallback, place: _Place) -> Iterator[Fault]:
    if [variant.key for variant in place.serving] == [fallback.variant]:
        yield Fault(
            f"{POLICY}.fallback.variant",
            f"{fallback.variant} serves everybody: it cannot stand in for itself",
        )


def _unlike(variant: VariantFacts, place: _Place) -> str:
    """Why the variant cannot answer rows that were asked of those that serve; "" if it can."""
    for spec in variant.version.schema.features:
        given = place.features.get(spec.name)
        if given is None and spec.required and spec.default is None:
            return f"it needs {spec.name}, which not every variant takes"
        if given is not None and given.kind != spec.kind:
            return f"its {spec.name} is of another kind"
    kinds = {one.version.schema.output.kind for one in place.serving}
    kind = variant.version.schema.output.kind
    return "" if kinds <= {kind} else f"it gives {kind}, not {', '.join(sorted(kinds))}"


def _other_shape(variant: VariantFacts, place: _Place) -> str:
    """Why an answer of the variant cannot be read as one of those that serve; "" if it can."""
    one = variant.version.schema.output
    others = (other.version.schema.output for other in place.serving if other.key != variant.key)
    alike = all((o.datatype, o.width) == (one.datatype, one.width) for o in others)
    return "" if alike else f"its output is {one.width} wide of {one.datatype}, theirs is not"


def _default(policy: Policy, place: _Place) -> Iterator[Fault]:
    default = policy.fallback.default
    if default is None:
        return
    path = f"{POLICY}.fallback.default"
    for variant in place.serving:
        yield from _default_of(default, variant, path)


def _default_of(default: DefaultPrediction, variant: VariantFacts, path: str) -> Iterator[Fault]:
    version = variant.version
    if default.label not in version.labels:
        known = ", ".join(repr(label) for label in version.labels)
        yield Fault(f"{path}.label", f"{version.key} knows the labels {known}")
    if version.schema.output.kind != "regression" and not 0 <= default.prediction <= 1:
        yield Fault(f"{path}.prediction", f"{version.key} gives probabilities: 0 to 1")


def _lookup(policy: Policy, place: _Place) -> Iterator[Fault]:
    if policy.lookup is None:
        return
    path = f"{POLICY}.lookup"
    if place.endpoint.unit_kind != "user":
        yield Fault(path, "features of a user; here each request is a unit of its own")
    faults = [
        fault
        for number, feature in enumerate(policy.lookup.features)
        for fault in _lookup_feature(feature, place, f"{path}.features[{number}]")
    ]
    yield from faults or _as_gateways_do(policy.lookup, place, path)


def _as_gateways_do(lookup: Lookup, place: _Place, path: str) -> Iterator[Fault]:
    """The last word: what a gateway could not compile is not published."""
    for variant in place.variants.values():
        try:
            StoredFeatures(variant.version.schema, lookup)
        except SchemaError as error:
            yield Fault(f"{path}.features", f"{variant.version.key}: {error}")


def _lookup_feature(feature: LookupFeature, place: _Place, path: str) -> Iterator[Fault]:
    spec = place.features.get(feature.name)
    if spec is None:
        yield Fault(f"{path}.name", f"{feature.name} is not a feature of every variant")
    elif feature.default is None:
        if spec.required and not spec.nullable and spec.default is None:
            yield Fault(f"{path}.default", f"{feature.name} needs one: it is required")
    elif not _is_of(feature.default, spec.kind):
        yield Fault(f"{path}.default", f"{feature.name} is of kind {spec.kind}")


def _mirrors(policy: Policy, place: _Place) -> Iterator[Fault]:
    for number, mirror in enumerate(policy.mirrors):
        yield from _mirror(mirror, place, f"{POLICY}.mirrors[{number}]")


def _mirror(mirror: Mirror, place: _Place, path: str) -> Iterator[Fault]:
    variant = place.variants.get(mirror.variant)
    if variant is None:
        yield Fault(f"{path}.variant", f"there is no variant {mirror.variant!r}; {_known(place)}")
    elif variant.role != SHADOW:
        yield Fault(f"{path}.variant", f"{mirror.variant} is {variant.role}, not a shadow")
    elif reason := _unlike(variant, place):
        yield Fault(f"{path}.variant", f"{mirror.variant} cannot be compared: {reason}")
    for number, name in enumerate(mirror.segments):
        if reason := _no_segment(name, place):
            yield Fault(f"{path}.segments[{number}]", reason)


def _no_segment(name: str, place: _Place) -> str:
    """Why the rows of every variant that may answer cannot be split by the feature."""
    for variant in place.variants.values():
        found = {item.name: item for item in variant.version.schema.features}
        if variant.role != SHADOW and name not in found:
            return f"{name} is not a feature of every variant"
        if name in found and found[name].pii:
            return f"{name} is private: it is not kept in the clear"
    return ""


def _rules(policy: Policy, place: _Place) -> Iterator[Fault]:
    for number, rule in enumerate(policy.rules):
        yield from _rule(rule, place, f"{POLICY}.rules[{number}]")


def _rule(rule: Rule, place: _Place, path: str) -> Iterator[Fault]:
    reason = _bad_target(rule.endpoint, place)
    if reason:
        yield Fault(f"{path}.endpoint", reason)
    for number, condition in enumerate(rule.when):
        if condition.subject == "feature":
            yield from _condition(condition, place, f"{path}.when[{number}]")


def _bad_target(name: str, place: _Place) -> str:
    target: TargetFacts | None = place.endpoint.targets.get(name)
    if name == place.endpoint.name:
        return "an endpoint does not send requests to itself"
    if target is None:
        return f"there is no endpoint {name!r}"
    if target.team != place.endpoint.team:
        return f"{name} is of team {target.team}, not of {place.endpoint.team}"
    return "" if target.routed else f"{name} serves nothing yet"


def _condition(condition: Condition, place: _Place, path: str) -> Iterator[Fault]:
    spec = place.features.get(condition.name)
    if spec is None:
        yield Fault(f"{path}.name", f"{condition.name} is not a feature of every variant")
        return
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if not all(_is_of(value, spec.kind) for value in values):
        yield Fault(f"{path}.value", f"{condition.name} is of kind {spec.kind}")


def _is_of(value: object, kind: FeatureKind) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    whole = kind != "integer" or not isinstance(value, float) or value.is_integer()
    return isinstance(value, VALUES[kind]) and whole


def _known(place: _Place) -> str:
    return f"there are {', '.join(place.variants)}" if place.variants else "there is none"


_CHECKS: Mapping[str, Callable[[Policy, _Place], Iterator[Fault]]] = {
    "fallback.variant": _fallback_variant,
    "fallback.default": _default,
    "lookup": _lookup,
    "mirrors": _mirrors,
    "rules": _rules,
}


def _without(policy: Policy, paths: Collection[str], place: _Place) -> Policy:
    """The policy without what is at fault; a path names its innermost field."""

    def hit(start: str) -> bool:
        return any(path == start or path.startswith((f"{start}.", f"{start}[")) for path in paths)

    def kept(items: Sequence[Item], name: str) -> tuple[Item, ...]:
        return tuple(
            item for number, item in enumerate(items) if not hit(f"{POLICY}.{name}[{number}]")
        )

    fallback = msgspec.structs.replace(
        policy.fallback,
        variant="" if hit(f"{POLICY}.fallback.variant") else policy.fallback.variant,
        default=None if hit(f"{POLICY}.fallback.default") else policy.fallback.default,
    )
    return msgspec.structs.replace(
        policy,
        fallback=fallback,
        lookup=_lookup_without(policy.lookup, place) if hit(f"{POLICY}.lookup") else policy.lookup,
        mirrors=kept(policy.mirrors, "mirrors"),
        rules=kept(policy.rules, "rules"),
    )


def _lookup_without(lookup: Lookup | None, place: _Place) -> Lookup | None:
    """The lookup of features that at least one variant takes; who takes none ignores them.

    A default that some variant cannot take ends its feature: no gateway could compile it.
    """
    if lookup is None or place.endpoint.unit_kind != "user":
        return None
    taken = {item.name for one in place.serving for item in one.version.schema.features}
    features = tuple(
        feature
        for feature in lookup.features
        if feature.name in taken and not any(_as_gateways_do(_only(lookup, feature), place, ""))
    )
    return msgspec.structs.replace(lookup, features=features) if features else None


def _only(lookup: Lookup, feature: LookupFeature) -> Lookup:
    return msgspec.structs.replace(lookup, features=(feature,))
