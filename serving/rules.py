"""Which endpoint answers a request: rules on features, size, tier and budget. Pure: the same
answer online and when a day's records are asked again.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.policy import Condition, Rule

Test = Callable[["Asked"], bool]

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_NUMERIC = frozenset({"payload_bytes", "budget"})


class RuleError(ValueError):
    """A rule that says nothing that could be met, with the reason in words."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """What rules look at. `budget` in dollars per 1,000 predictions, 0 = any price will do."""

    payload_bytes: int = 0
    tier: str = ""
    budget: float = 0.0
    features: Mapping[str, object] = field(default_factory=dict)


class Rules:
    """Rules in their order, compiled. Raises RuleError. `features` are the names looked at."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        compiled = ((rule, _tests(rule)) for rule in rules)
        self._rules = tuple((rule, tests[0], tests[1:]) for rule, tests in compiled)
        conditions = [condition for rule in rules for condition in rule.when]
        names = [each.name for each in conditions if each.subject == "feature"]
        self.features = tuple(dict.fromkeys(names))

    def first(self, asked: Asked) -> Rule | None:
        """The first rule whose conditions are all met."""
        for rule, first, others in self._rules:
            if first(asked) and (not others or all(test(asked) for test in others)):
                return rule
        return None


def compare(condition: Condition, value: object) -> bool:
    """Whether `value` meets the condition.

    A missing value (None) meets none, not even "ne"; nor does one of another type than the
    condition's: text is compared with text, numbers with numbers, true and false with themselves.
    """
    wanted = condition.value
    if value is None:
        return False
    if condition.comparison == "in":
        return isinstance(wanted, tuple) and _text(value) in wanted
    if not _comparable(value, wanted):
        return False
    if condition.comparison == "eq":
        return value == wanted
    if condition.comparison == "ne":
        return value != wanted
    return _ORDERS[condition.comparison](value, wanted)


def check(rule: Rule) -> None:
    """Raise RuleError unless the rule can be met by something and not by everything."""
    if not rule.when:
        raise RuleError(f"rule {rule.name!r} has no condition")
    for condition in rule.when:
        fault = _fault(condition)
        if fault:
            raise RuleError(f"rule {rule.name!r}: {condition.subject} {fault}")


def _fault(condition: Condition) -> str:
    """What is wrong with a condition; empty when nothing is."""
    value, ordered = condition.value, condition.comparison in _ORDERS
    if condition.subject == "feature" and not condition.name:
        return "needs the name of a feature"
    if (condition.comparison == "in") != isinstance(value, tuple):
        return '"in" takes a list of texts, and nothing else does'
    if condition.subject in _NUMERIC and (_is_not_number(value) or condition.comparison == "in"):
        return "is compared with a number"
    if condition.subject == "tier" and (ordered or not isinstance(value, str | tuple)):
        return "is compared with text, by eq, ne or in"
    return "true and false have no order" if ordered and isinstance(value, bool) else ""


def _tests(rule: Rule) -> tuple[Test, ...]:
    check(rule)
    # What costs nothing to know goes first; the outcome is the same in any order.
    ordered = sorted(rule.when, key=lambda each: each.subject == "feature")
    return tuple(map(_test, ordered))


def _test(condition: Condition) -> Test:
    if condition.subject == "feature":
        return _feature_test(condition)
    read = _READERS[condition.subject](condition)
    return lambda asked: compare(condition, read(asked))


def _feature_test(condition: Condition) -> Test:
    """As `compare` has it; a plain number or text, which is what JSON holds, without its steps."""
    name, wanted = condition.name, condition.value
    order = _ORDERS.get(condition.comparison) or _EQUALITIES.get(condition.comparison)
    plain = _PLAIN.get(type(wanted))
    if order is None or plain is None:
        return lambda asked: compare(condition, asked.features.get(name))

    def test(asked: Asked) -> bool:
        value = asked.features.get(name)
        if type(value) in plain:
            return order(value, wanted)
        return compare(condition, value)

    return test


_EQUALITIES: Mapping[str, Callable[[Any, Any], bool]] = {"eq": operator.eq, "ne": operator.ne}
_NUMBERS = frozenset({int, float})
_PLAIN: Mapping[type, frozenset[type]] = {
    int: _NUMBERS,
    float: _NUMBERS,
    str: frozenset({str}),
}
_READERS: Mapping[str, Callable[[Condition], Callable[[Asked], object]]] = {
    "payload_bytes": lambda _: lambda asked: asked.payload_bytes,
    "tier": lambda _: lambda asked: asked.tier,
    "budget": lambda _: lambda asked: asked.budget or math.inf,
}


def _comparable(value: object, wanted: object) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return isinstance(wanted, bool) and isinstance(value, bool)
    if isinstance(wanted, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(wanted, tuple)


def _text(value: object) -> str:
    """A value as "in" compares it: text, or an integer's digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_not_number(value: object) -> bool:
    return isinstance(value, bool) or not isinstance(value, int | float)
