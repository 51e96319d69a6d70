"""The e-process: golden values, its bound on false alarms, and how quickly it sees harm."""

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.guardrail import BETS, Guardrail, replay

ALPHA = 0.01


def reference(failures: list[tuple[bool, float]], harm_ratio: float = 1.0) -> float:
    """METHODS' formula, factor by factor and without logarithms."""
    total = 0.0
    for bet in BETS:
        wealth = 1.0
        for in_candidate, w in failures:
            null = harm_ratio * w / (harm_ratio * w + 1 - w)
            q = bet * harm_ratio * w / (bet * harm_ratio * w + 1 - w)
            wealth *= q / null if in_candidate else (1 - q) / (1 - null)
        total += wealth
    return total / len(BETS)


def test_wealth__nothing_seen__one() -> None:
    assert Guardrail().wealth == pytest.approx(1.0)
    assert not Guardrail().crossed


def test_wealth__one_failure_in_a_canary_at_5_percent__golden() -> None:
    # mean over l of l / (0.05 l + 0.95), by hand
    by_hand = sum(bet / (0.05 * bet + 0.95) for bet in BETS) / len(BETS)
    assert Guardrail().observe(True, 0.05) == pytest.approx(by_hand, rel=1e-12)
    assert by_hand == pytest.approx(5.98683, abs=1e-5)


def test_wealth__five_failures_in_a_row_at_5_percent__crosses() -> None:
    wealths = []
    guardrail = Guardrail(alpha=ALPHA)
    for _ in range(5):
        wealths.append(guardrail.observe(True, 0.05))
    assert [wealth > 100 for wealth in wealths] == [False, False, True, True, True]
    assert guardrail.crossed


def test_wealth__failures_of_the_baseline__falls() -> None:
    guardrail = Guardrail()
    for _ in range(50):
        guardrail.observe(False, 0.05)
    assert guardrail.wealth < 0.5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_observe__nothing_to_compare_with__changes_nothing(share: float) -> None:
    guardrail = Guardrail()
    assert guardrail.observe(True, share) == pytest.approx(1.0)
    assert guardrail.units == 0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_guardrail__alpha_outside_0_1__refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        Guardrail(alpha=alpha)


@pytest.mark.parametrize("ratio", [0.0, -1.0])
def test_guardrail__ratio_not_positive__refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="harm_ratio"):
        Guardrail(harm_ratio=ratio)


failures_ = st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(failures=failures_, ratio=st.sampled_from([1.0, 1.5, 2.0]))
def test_wealth__any_failures__is_the_formula(
    failures: list[tuple[bool, float]], ratio: float
) -> None:
    wealth, peak = replay(failures, alpha=ALPHA, harm_ratio=ratio)
    assert wealth == pytest.approx(reference(failures, ratio), rel=1e-9)
    assert peak >= max(1.0, wealth)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.01, 0.99), ratio=st.sampled_from([1.0, 2.0]), start=failures_)
def test_wealth__at_the_edge_of_the_null__stays_on_average(
    share: float, ratio: float, start: list[tuple[bool, float]]
) -> None:
    """A martingale: over the next unit, the expected wealth is the wealth now."""
    guardrail = Guardrail(harm_ratio=ratio)
    for item in start:
        guardrail.observe(*item)
    null = ratio * share / (ratio * share + 1 - share)
    after = [
        Guardrail(harm_ratio=ratio, log_bets=list(guardrail.log_bets)).observe(hit, share)
        for hit in (True, False)
    ]
    assert null * after[0] + (1 - null) * after[1] == pytest.approx(guardrail.wealth, rel=1e-9)


def test_wealth__thousands_of_candidate_failures__finite() -> None:
    guardrail = Guardrail()
    for _ in range(5_000):
        guardrail.observe(True, 0.05)
    assert math.isfinite(guardrail.wealth)
    assert guardrail.crossed


def first_failures(
    rng: random.Random, *, units: int, rate: float, harm: float, shares: list[float]
) -> Iterator[tuple[bool, float]]:
    """Users' first failures while the candidate grows: the candidate fails `harm` times as often.

    Users keep their places in the buckets, so a ramp only adds users to the candidate; each comes
    with an activity of its own, and the same one fails at most once.
    """
    place = [rng.random() for _ in range(units)]
    activity = [rng.paretovariate(1.2) for _ in range(units)]
    failed: set[int] = set()
    for share in shares:
        for unit in rng.choices(range(units), weights=activity, k=units // len(shares)):
            in_candidate = place[unit] < share
            if unit not in failed and rng.random() < rate * (harm if in_candidate else 1):
                failed.add(unit)
                yield in_candidate, share


def alarms(runs: int, *, units: int, rate: float, shares: list[float]) -> float:
    """Share of runs in which a candidate that is no worse was withdrawn at some moment."""
    hits = 0
    for seed in range(runs):
        rng = random.Random(seed)
        seen = first_failures(rng, units=units, rate=rate, harm=1.0, shares=shares)
        hits += replay(seen, alpha=ALPHA)[1] >= 1 / ALPHA
    return hits / runs


RAMP = [0.05] * 4 + [0.2] * 3 + [0.5] * 3


@pytest.mark.parametrize("shares", [[0.05] * 10, RAMP])
def test_ville__candidate_no_worse__false_alarms_within_alpha(shares: list[float]) -> None:
    assert alarms(120, units=3_000, rate=0.05, shares=shares) <= 0.035  # 1 % + 3 sigma of 120


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rate", [0.003, 0.05])
@pytest.mark.parametrize("shares", [[0.05] * 10, RAMP], ids=["canary", "ramp"])
def test_ville__candidate_no_worse__false_alarms_within_alpha_at_length(
    shares: list[float], rate: float
) -> None:
    share = alarms(2_000, units=12_000, rate=rate, shares=shares)
    print(f"false_rollback_rate={share:.4f}")
    assert share <= 0.0167  # 1 % + 3 sigma of 2,000


@pytest.mark.parametrize(("harm_rate", "most"), [(0.2, 60), (0.05, 400)])
def test_power__bad_candidate_at_5_percent__out_after_few_candidate_requests(
    harm_rate: float, most: int
) -> None:
    """Median number of the candidate's requests before it is withdrawn; baseline fails .3 %."""
    needed = sorted(_requests_until_out(random.Random(seed), harm_rate) for seed in range(41))
    assert needed[20] <= most


def _requests_until_out(rng: random.Random, harm_rate: float) -> int:
    guardrail, asked = Guardrail(alpha=ALPHA), 0
    while not guardrail.crossed:
        in_candidate = rng.random() < 0.05
        asked += in_candidate
        if rng.random() < (harm_rate if in_candidate else 0.003):
            guardrail.observe(in_candidate, 0.05)
    return asked
