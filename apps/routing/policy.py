"""What a policy must be whatever the endpoint serves: pure. `fitting` asks the rest."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from apps.routing.errors import Fault
from contracts.policy import (
    Breaker,
    Cache,
    Condition,
    DefaultPrediction,
    Lookup,
    Mirror,
    Policy,
    Rule,
)
from contracts.routing import Limits
from serving.rules import RuleError
from serving.rules import check as check_rule

DAY_S = 86_400.0
MOST_RULES = 50
MOST_CONDITIONS = 20
MOST_VALUES = 1_000
MOST_FEATURES = 200
ORDERED = frozenset({"lt", "le", "gt", "ge"})
NUMERIC_SUBJECTS = frozenset({"payload_bytes", "budget"})


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `Endpoint.settings` may hold."""

    limits: Limits = Limits()
    policy: Policy = Policy()


@dataclass(frozen=True)
class Bound:
    """`low` to `high`, both allowed; with `above` low itself is not."""

    low: float
    high: float
    above: bool = False

    def refuses(self, value: float) -> str:
        """Why `value` is out of bounds; "" when it is not."""
        if not math.isfinite(value) or value > self.high:
            return f"must be at most {self.high:,.10g}"
        if self.above and value <= self.low:
            return "must be positive" if self.low == 0 else f"must be above {self.low:,.10g}"
        return f"must be at least {self.low:,.10g}" if value < self.low else ""


BOUNDS: Mapping[type[msgspec.Struct], Mapping[str, Bound]] = {
    Limits: {
        "deadline_ms": Bound(0, 600_000, above=True),
        "max_batch": Bound(0, 65_536, above=True),
        "max_delay_ms": Bound(0, 60_000, above=True),
        "max_queue": Bound(0, 1_000_000, above=True),
        "explain_deadline_ms": Bound(0, 600_000, above=True),
        "explain_queue": Bound(0, 10_000, above=True),
    },
    Cache: {
        "ttl_s": Bound(0, 30 * DAY_S, above=True),
        "stale_s": Bound(0, 30 * DAY_S),
        "entries": Bound(1, 10_000_000),
        "beta": Bound(0, 100),
    },
    Breaker: {
        "window_s": Bound(0, 3_600, above=True),
        "minimum": Bound(1, 1_000_000),
        "error_share": Bound(0, 1, above=True),
        "slow_ms": Bound(0, 600_000),
        "open_s": Bound(0, 3_600, above=True),
        "probes": Bound(1, 1_000),
    },
    Lookup: {"budget_ms": Bound(0, 10_000, above=True)},
    Mirror: {"share": Bound(0, 1, above=True), "max_in_flight": Bound(1, 100_000)},
    DefaultPrediction: {"prediction": Bound(-1e300, 1e300)},
}


def check(settings: EndpointSettings) -> list[Fault]:
    """Every fault that can be told without knowing what the endpoint serves."""
    return [*_walk(settings, "settings"), *_together(settings)]


def _walk(struct: msgspec.Struct, path: str) -> Iterator[Fault]:
    """Faults of `struct` by itself, and of every Struct in it."""
    bounds = BOUNDS.get(type(struct), {})
    for name in struct.__struct_fields__:
        value, inner = getattr(struct, name), f"{path}.{name}"
        if name in bounds and (reason := bounds[name].refuses(value)):
            yield Fault(inner, reason)
        elif isinstance(value, msgspec.Struct):
            yield from _walk(value, inner)
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, msgspec.Struct):
                    yield from _walk(item, f"{inner}[{number}]")
    checked = CHECKS.get(type(struct))
    if checked:
        yield from checked(struct, path)


def _of_policy(policy: Policy, path: str) -> Iterator[Fault]:
    yield from _once((mirror.variant for mirror in policy.mirrors), f"{path}.mirrors", "variant")
    yield from _once((rule.name for rule in policy.rules), f"{path}.rules", "name")
    if len(policy.rules) > MOST_RULES:
        yield Fault(f"{path}.rules", f"at most {MOST_RULES} rules")


def _of_lookup(lookup: Lookup, path: str) -> Iterator[Fault]:
    inner = f"{path}.features"
    if not 1 <= len(lookup.features) <= MOST_FEATURES:
        yield Fault(inner, f"1 to {MOST_FEATURES} features")
    yield from _once((feature.name for feature in lookup.features), inner, "name")


def _of_rule(rule: Rule, path: str) -> Iterator[Fault]:
    if not rule.name.strip() or len(rule.name) > 80:
        yield Fault(f"{path}.name", "a rule has a name of up to 80 characters")
    if not 1 <= len(rule.when) <= MOST_CONDITIONS:
        yield Fault(f"{path}.when", f"1 to {MOST_CONDITIONS} conditions")
    elif not any(fault for condition in rule.when for fault in _of_condition(condition, "")):
        yield from _as_gateways_do(rule, path)


def _as_gateways_do(rule: Rule, path: str) -> Iterator[Fault]:
    """The last word: what a gateway could not compile is not published."""
    try:
        check_rule(rule)
    except RuleError as error:
        yield Fault(path, str(error))


def _of_condition(condition: Condition, path: str) -> Iterator[Fault]:
    of_feature = condition.subject == "feature"
    if of_feature != bool(condition.name):
        yield Fault(
            f"{path}.name",
            "which feature?" if of_feature else f"{condition.subject} is no feature: no name",
        )
    reason = misfit(condition)
    if reason:
        yield Fault(f"{path}.value", reason)
    elif condition.subject in NUMERIC_SUBJECTS and not _is_number(condition.value):
        yield Fault(f"{path}.value", f"{condition.subject} is compared with a number")
    elif condition.subject == "tier" and not isinstance(condition.value, str | tuple):
        yield Fault(f"{path}.value", "a tier is compared with a text")


def misfit(condition: Condition) -> str:
    """Why the comparison does not go with the value; "" when it does."""
    value, comparison = condition.value, condition.comparison
    if isinstance(value, tuple):
        if comparison != "in":
            return f"{comparison} compares with one value, not with a list"
        return "" if 1 <= len(value) <= MOST_VALUES else f"1 to {MOST_VALUES} values"
    if comparison == "in":
        return "in asks for a list of texts"
    if comparison in ORDERED and not _is_number(value):
        return f"{comparison} compares numbers"
    return "" if not _is_number(value) or math.isfinite(float(value)) else "must be finite"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _once(names: Iterable[str], path: str, field: str) -> Iterator[Fault]:
    """A fault for each name that was there before."""
    seen: Counter[str] = Counter()
    for number, name in enumerate(names):
        if seen[name]:
            yield Fault(f"{path}[{number}].{field}", f"{name!r} is there twice")
        seen[name] += 1


def _together(settings: EndpointSettings) -> Iterator[Fault]:
    lookup, deadline_ms = settings.policy.lookup, settings.limits.deadline_ms
    if lookup and lookup.budget_ms >= deadline_ms:
        yield Fault(
            "settings.policy.lookup.budget_ms",
            f"must leave time for the model: the deadline is {deadline_ms} ms",
        )


CHECKS: Mapping[type[msgspec.Struct], Callable[[Any, str], Iterator[Fault]]] = {
    Policy: _of_policy,
    Lookup: _of_lookup,
    Rule: _of_rule,
    Condition: _of_condition,
}


def complete(value: Any) -> Any:
    """A Struct as JSON with every default spelled out, as people read it."""
    if isinstance(value, msgspec.Struct):
        return {name: complete(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [complete(item) for item in value]
    return value


def compact(struct: msgspec.Struct) -> dict[str, Any]:
    """A Struct as JSON without what equals its default: how settings are stored."""
    fields = [(field, getattr(struct, field.name)) for field in msgspec.structs.fields(struct)]
    return {
        field.name: _compact(value)
        for field, value in fields
        if field.required or value != field.default
    }


def _compact(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return compact(value)
    return [_compact(item) for item in value] if isinstance(value, tuple) else value
