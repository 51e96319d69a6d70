"""Verdicts: the effect, the evidence, and the sentence."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from apps.deployments.analysis import (
    Conditions,
    Evidence,
    Figures,
    LabelPair,
    Labels,
    Outcome,
    compare_accuracy,
    judge_accuracy,
    judge_errors,
    judge_latency,
    wilson,
)

CONDITIONS = Conditions()


def errors_of(
    requests: int,
    errors: int,
    *,
    base: tuple[int, int] = (10_000, 30),
    wealth: float = 1.0,
    units: int = 20,
) -> tuple[Outcome, str]:
    candidate = Figures(requests=requests, errors=errors)
    baseline = Figures(requests=base[0], errors=base[1])
    evidence = Evidence(
        step_candidate=candidate,
        step_baseline=baseline,
        total_candidate=candidate,
        total_baseline=baseline,
        peak_wealth=wealth,
        failing_units=units,
    )
    verdict = judge_errors(evidence, CONDITIONS, minimum_requests=100)
    return verdict.outcome, verdict.sentence


def labels_of(*pairs: tuple[int, int, int, int], minimum: int = 100) -> Outcome:
    """Each pair: candidate right, candidate total, baseline right, baseline total."""
    strata = tuple(
        LabelPair(candidate=Labels(correct=a, total=b), baseline=Labels(correct=c, total=d))
        for a, b, c, d in pairs
    )
    return judge_accuracy(Evidence(labels=strata), CONDITIONS, minimum_labels=minimum).outcome


def test_errors__below_the_limit_with_enough_requests__pass_in_words() -> None:
    outcome, sentence = errors_of(12_400, 50)
    assert outcome is Outcome.PASS
    assert sentence == "error rate 0.4 % vs 0.3 %: within the limit, 12,400 requests"


def test_errors__all_of_three_requests_failed__do_not_roll_back() -> None:
    assert errors_of(3, 3)[0] is Outcome.INCONCLUSIVE


def test_errors__no_requests__say_so() -> None:
    outcome, sentence = errors_of(0, 0)
    assert outcome is Outcome.INCONCLUSIVE
    assert "no data yet" in sentence


def test_errors__surely_above_two_percent__fail_without_the_e_value() -> None:
    assert errors_of(1_000, 80, base=(0, 0))[0] is Outcome.FAIL


def test_errors__above_two_percent_by_chance__hold() -> None:
    assert errors_of(200, 5)[0] is Outcome.INCONCLUSIVE


def test_errors__of_one_unit_only__do_not_roll_back() -> None:
    assert errors_of(1_000, 300, units=1)[0] is Outcome.INCONCLUSIVE


def test_errors__evidence_and_twice_the_baseline__fail() -> None:
    outcome, sentence = errors_of(20_000, 180, wealth=250.0)
    assert outcome is Outcome.FAIL
    assert "e-value 250" in sentence


def test_errors__twice_the_baseline_without_evidence__pass() -> None:
    assert errors_of(20_000, 180, wealth=30.0)[0] is Outcome.PASS


def test_errors__evidence_of_a_small_effect__hold() -> None:
    assert errors_of(20_000, 80, wealth=250.0)[0] is Outcome.INCONCLUSIVE


def test_errors__between_the_limits__hold() -> None:
    assert errors_of(10_000, 150)[0] is Outcome.INCONCLUSIVE


def test_errors__more_than_requests__are_a_measuring_error() -> None:
    assert errors_of(10, 11)[0] is Outcome.ERROR


@given(requests=st.integers(0, 99), share=st.floats(0, 1), units=st.integers(0, 99))
def test_errors__fewer_than_a_hundred_requests__never_fail_on_the_rate_alone(
    requests: int, share: float, units: int
) -> None:
    assert errors_of(requests, int(share * requests), units=units)[0] is Outcome.INCONCLUSIVE


def latency(
    p99: float | None, *, slow: int = 0, answered: int = 1_000, base: float | None = 20.0
) -> Outcome:
    evidence = Evidence(
        step_candidate=Figures(requests=answered, answered=answered, slow=slow, p99_ms=p99),
        step_baseline=Figures(requests=1_000, answered=1_000, p99_ms=base),
    )
    return judge_latency(evidence, CONDITIONS, minimum_requests=100).outcome


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (latency(20.0), Outcome.PASS),
        (latency(600.0), Outcome.INCONCLUSIVE),
        (latency(1_500.0, slow=100), Outcome.FAIL),
        (latency(1_500.0, slow=11), Outcome.INCONCLUSIVE),
        (latency(1_500.0, slow=100, base=2_000.0), Outcome.INCONCLUSIVE),
        (latency(20.0, answered=99), Outcome.INCONCLUSIVE),
        (latency(None, answered=0), Outcome.INCONCLUSIVE),
        (latency(1_500.0, slow=100, base=None), Outcome.FAIL),
    ],
)
def test_latency__of_each_kind__judged(found: Outcome, expected: Outcome) -> None:
    assert found is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (labels_of((800, 1_000, 800, 1_000)), Outcome.PASS),
        (labels_of((600, 1_000, 800, 1_000)), Outcome.FAIL),
        (labels_of((790, 1_000, 800, 1_000)), Outcome.INCONCLUSIVE),
        (labels_of((79_000, 100_000, 80_000, 100_000)), Outcome.PASS),
        (labels_of((40, 50, 400, 500)), Outcome.INCONCLUSIVE),
        (labels_of((0, 20, 20, 20)), Outcome.INCONCLUSIVE),
        (labels_of(), Outcome.INCONCLUSIVE),
        (labels_of(minimum=0), Outcome.PASS),
        (labels_of((600, 1_000, 800, 1_000), minimum=0), Outcome.FAIL),
        (labels_of((11, 10, 1, 1)), Outcome.ERROR),
    ],
)
def test_accuracy__of_each_kind__judged(found: Outcome, expected: Outcome) -> None:
    assert found is expected


def test_accuracy__time_when_only_one_side_served__counts_for_nothing() -> None:
    fair = (800, 1_000, 800, 1_000)
    assert labels_of(fair, (0, 5_000, 0, 0)) is Outcome.PASS
    assert labels_of(fair, (0, 0, 5_000, 5_000)) is Outcome.PASS


def test_accuracy__mixed_over_phases_of_other_difficulty__compared_within_each() -> None:
    """Simpson: the candidate is as good in both phases, and has most labels in the harder one."""
    comparison = compare_accuracy(
        [
            LabelPair(
                candidate=Labels(correct=90, total=100), baseline=Labels(correct=900, total=1_000)
            ),
            LabelPair(
                candidate=Labels(correct=500, total=1_000), baseline=Labels(correct=50, total=100)
            ),
        ],
        CONDITIONS,
    )
    assert comparison is not None
    assert comparison.candidate == pytest.approx(comparison.baseline)


def test_accuracy__equal_models_looked_at_all_the_time__rarely_fail() -> None:
    """A candidate exactly at the margin, 200 runs, looked at after every label."""
    generator = random.Random(7)
    failed = 0
    for _ in range(200):
        right = [0, 0]
        for seen in range(1, 1_500):
            right[0] += generator.random() < 0.76
            right[1] += generator.random() < 0.80
            if seen % 10 == 0 and labels_of((right[0], seen, right[1], seen)) is Outcome.FAIL:
                failed += 1
                break
    assert failed <= 6


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (50, 100), (10, 10), (1, 9_999)])
def test_wilson__against_scipy(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert wilson(count, total, z=1.959963984540054) == pytest.approx((expected.low, expected.high))
