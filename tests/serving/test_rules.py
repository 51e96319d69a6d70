"""Which rule decides: conditions one by one, their order, and what says nothing."""

from typing import Any

import pytest

from contracts.policy import Condition, Rule
from serving.rules import Asked, RuleError, Rules


def when(subject: Any, comparison: Any, value: Any, name: str = "") -> Condition:
    return Condition(subject=subject, comparison=comparison, value=value, name=name)


def feature(comparison: str, value: Any) -> Condition:
    return when("feature", comparison, value, "x")


def rule(*conditions: Condition, name: str = "r", endpoint: str = "strong") -> Rule:
    return Rule(name=name, when=conditions, endpoint=endpoint)


def meets(condition: Condition, **asked: Any) -> bool:
    return Rules([rule(condition)]).first(Asked(**asked)) is not None


@pytest.mark.parametrize(
    ("condition", "value", "met"),
    [
        (feature("lt", 5), 4, True),
        (feature("lt", 5), 5.0, False),
        (feature("le", 5), 5, True),
        (feature("gt", 5.5), 6, True),
        (feature("ge", "b"), "c", True),
        (feature("eq", "AA"), "AA", True),
        (feature("ne", "AA"), "UA", True),
        (feature("eq", True), True, True),
        (feature("in", ("AA", "UA")), "UA", True),
        (feature("in", ("1", "2")), 2, True),
        (feature("in", ("AA",)), "DL", False),
    ],
)
def test_feature__compared__meets_or_not(condition: Condition, value: Any, met: bool) -> None:
    assert meets(condition, features={"x": value}) is met


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (feature("ne", "AA"), None),
        (feature("ne", "AA"), 3),
        (feature("lt", 5), "4"),
        (feature("eq", 1), True),
        (feature("ne", 1), False),
        (feature("in", ("None",)), None),
    ],
)
def test_feature__missing_or_of_another_type__meets_nothing(
    condition: Condition, value: Any
) -> None:
    assert not meets(condition, features={"x": value})
    assert not meets(condition)


def test_payload__larger_than__meets() -> None:
    assert meets(when("payload_bytes", "gt", 1_000), payload_bytes=1_001)
    assert not meets(when("payload_bytes", "gt", 1_000), payload_bytes=1_000)


def test_tier__one_of__meets() -> None:
    assert meets(when("tier", "in", ("gold", "silver")), tier="gold")
    assert not meets(when("tier", "eq", "gold"))


def test_budget__of_zero__is_any_price() -> None:
    cheap = when("budget", "lt", 0.01)
    assert meets(cheap, budget=0.005)
    assert not meets(cheap, budget=0.0)


def test_first__several_match__the_first_wins() -> None:
    rules = Rules(
        [
            rule(when("tier", "eq", "gold"), feature("gt", 1), name="both"),
            rule(feature("gt", 1), name="one"),
            rule(feature("gt", 0), name="any"),
        ]
    )
    found = [
        rules.first(Asked(tier=tier, features={"x": value}))
        for tier, value in (("gold", 2), ("", 2), ("gold", 1), ("gold", 0))
    ]
    assert [each and each.name for each in found] == ["both", "one", "any", None]
    assert rules.features == ("x",)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (when("feature", "eq", 1), "needs the name"),
        (when("payload_bytes", "gt", "10"), "number"),
        (when("payload_bytes", "in", ("1",)), "number"),
        (when("budget", "eq", True), "number"),
        (when("tier", "lt", "gold"), "eq, ne or in"),
        (when("tier", "eq", 3), "text"),
        (feature("eq", ("a",)), "list of texts"),
        (feature("in", "a"), "list of texts"),
        (feature("gt", True), "no order"),
    ],
)
def test_rules__condition_that_says_nothing__is_refused(condition: Condition, words: str) -> None:
    with pytest.raises(RuleError, match=words):
        Rules([rule(condition)])


def test_rules__no_condition__is_refused() -> None:
    with pytest.raises(RuleError, match="no condition"):
        Rules([rule()])
