"""A policy as the endpoint's page shows it: the way of an answer as steps, the rest in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contracts.policy import Breaker, Cache, Condition, Fallback, LookupFeature, Mirror, Policy
from contracts.routing import Limits

SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠", "in": "in"}
SUBJECTS = {"payload_bytes": "payload bytes", "tier": "tier", "budget": "budget"}
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class StepPicture:
    """One step on the way to an answer; `state` is "current" for the model itself."""

    title: str
    words: str
    state: str = ""


@dataclass(frozen=True)
class RulePicture:
    """A rule: its name, when it applies, and the endpoint that answers then."""

    name: str
    when: str
    endpoint: str


@dataclass(frozen=True)
class PolicyPicture:
    """Everything of a policy that the page shows."""

    steps: tuple[StepPicture, ...]
    facts: tuple[tuple[str, str], ...]
    rules: tuple[RulePicture, ...]


def picture(policy: Policy, limits: Limits, numbers: Mapping[str, int]) -> PolicyPicture:
    """The policy in words; `numbers` are the version numbers of the variants by key."""
    rules = tuple(
        RulePicture(rule.name, " and ".join(map(_condition, rule.when)), rule.endpoint)
        for rule in policy.rules
    )
    return PolicyPicture(
        steps=tuple(_steps(policy, limits, numbers)),
        facts=tuple(_facts(policy, limits, numbers)),
        rules=rules,
    )


def _steps(policy: Policy, limits: Limits, numbers: Mapping[str, int]) -> Iterator[StepPicture]:
    if policy.cache:
        yield StepPicture("Cache", _cache(policy.cache))
    yield StepPicture("Model", _breaker(policy.breaker, limits), "current")
    yield from _fallbacks(policy.fallback, policy.cache, numbers)
    yield StepPicture("503", "with Retry-After")


def _cache(cache: Cache) -> str:
    where = "memory and Redis" if cache.shared else "memory"
    return f"equal features for {span(cache.ttl_s)}, in {where}"


def _breaker(breaker: Breaker | None, limits: Limits) -> str:
    within = f"within {limits.deadline_ms} ms"
    if breaker is None:
        return f"{within}; no breaker"
    slow = f" or over {breaker.slow_ms:g} ms" if breaker.slow_ms else ""
    return (
        f"{within}; not asked for {span(breaker.open_s)} once {100 * breaker.error_share:g} % of"
        f" {breaker.minimum} or more rows in {span(breaker.window_s)} failed{slow}"
    )


def _fallbacks(
    fallback: Fallback, cache: Cache | None, numbers: Mapping[str, int]
) -> Iterator[StepPicture]:
    if fallback.stale and cache:
        yield StepPicture("Stale answer", f"up to {span(cache.stale_s)} past its time")
    if fallback.variant:
        yield StepPicture("Other version", _variant(fallback.variant, numbers))
    if fallback.default:
        yield StepPicture(
            "Default", f"{fallback.default.label or 'value'} {fallback.default.prediction:g}"
        )


def _facts(policy: Policy, limits: Limits, numbers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    lookup = policy.lookup
    if lookup:
        features = ", ".join(map(_feature, lookup.features))
        yield (
            "Features looked up",
            f"{features}; from {lookup.prefix}(unit) within {lookup.budget_ms:g} ms",
        )
    for mirror in policy.mirrors:
        yield "Mirrored to", _mirror(mirror, numbers)
    yield (
        "Limits",
        f"{limits.deadline_ms} ms deadline, batches of up to {limits.max_batch} rows that wait at"
        f" most {limits.max_delay_ms} ms, up to {limits.max_queue} rows queued",
    )


def _feature(feature: LookupFeature) -> str:
    return feature.name if feature.default is None else f"{feature.name} (else {feature.default})"


def _mirror(mirror: Mirror, numbers: Mapping[str, int]) -> str:
    by = f", compared by {', '.join(mirror.segments)}" if mirror.segments else ""
    share = "all units" if mirror.share == 1 else f"{100 * mirror.share:g} % of units"
    return f"{_variant(mirror.variant, numbers)}: {share}{by}"


def _variant(key: str, numbers: Mapping[str, int]) -> str:
    return f"v{numbers[key]} as {key}" if key in numbers else key


def _condition(condition: Condition) -> str:
    name = condition.name or SUBJECTS[condition.subject]
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    return f"{name} {SIGNS[condition.comparison]} {', '.join(map(_value, values))}"


def _value(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.10g}"


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: 600 -> "10 min", 90 -> "90 s"."""
    for size, unit in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
