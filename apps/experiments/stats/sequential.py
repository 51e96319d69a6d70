"""Looking while it runs: an asymptotic confidence sequence and its always-valid p-value.

The sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024) holds at all looks at once,
however many there are and whatever made one look; a fixed interval looked at daily does not.
"""

import math
from collections.abc import Iterable, Iterator

from apps.experiments.stats.comparison import (
    TWO_SIDED,
    Comparison,
    Hypothesis,
    assemble,
    null_control,
)
from apps.experiments.stats.computable import NotComputable, first_reason, require_share
from apps.experiments.stats.estimates import MINIMUM_UNITS, Estimate


def mixing_rate(tail_or_alpha: float, sharpest_at: float) -> float:
    """rho^2 = (-2 ln alpha + ln(-2 ln alpha + 1)) / N*, N* the units to be sharpest at."""
    require_share("alpha", tail_or_alpha)
    if sharpest_at <= 0:
        raise ValueError("sharpest_at must be positive")
    log = -2 * math.log(tail_or_alpha)
    return (log + math.log(log + 1)) / sharpest_at


def sequence_width(units: float, hypothesis: Hypothesis, *, sharpest_at: float) -> float:
    """Half width in standard errors after `units` of all arms: wider than 1.96, at any look.

    Two-sided sqrt(2 (n rho^2 + 1) / (n rho^2) ln(sqrt(n rho^2 + 1) / alpha)); one-sided with
    ln(1 + sqrt(n rho^2 + 1) / (2 alpha)) in its place, and rho tuned at 2 alpha.
    """
    scaled = units * _rate(hypothesis, sharpest_at)
    spread = math.sqrt(scaled + 1)
    if hypothesis.one_sided:
        log = math.log(1 + spread / (2 * hypothesis.alpha))
    else:
        log = math.log(spread / hypothesis.alpha)
    return math.sqrt(2 * (scaled + 1) / scaled * log)


def _rate(hypothesis: Hypothesis, sharpest_at: float) -> float:
    return mixing_rate(min(2 * hypothesis.tail, 0.999), sharpest_at)


def compare_sequentially(
    control: Estimate | NotComputable,
    treatment: Estimate | NotComputable,
    hypothesis: Hypothesis = TWO_SIDED,
    *,
    sharpest_at: float,
) -> Comparison | NotComputable:
    """A comparison that may be made at any time, `sharpest_at` = the planned units of both arms.

    The p-value is the least alpha at which the sequence, tuned as planned, leaves out the null
    hypothesis; over many looks take `running_minimum`. Assumes what the fixed z test assumes, and
    that the standard error falls about as 1 / sqrt(n): not so at an arm's first few units.
    """
    if isinstance(control, NotComputable) or isinstance(treatment, NotComputable):
        return first_reason(control, treatment) or NotComputable("")
    if min(control.units, treatment.units) < MINIMUM_UNITS:
        return NotComputable(f"an arm has fewer than {MINIMUM_UNITS} units")
    if control.variance <= 0 or treatment.variance <= 0:
        return NotComputable("no unit of an arm differs from another, so chance cannot be judged")
    units = control.units + treatment.units
    null = null_control(control, hypothesis)
    statistic = (treatment.value - null.value) / math.hypot(
        null.standard_error, treatment.standard_error
    )
    return assemble(
        control,
        treatment,
        hypothesis,
        critical=sequence_width(units, hypothesis, sharpest_at=sharpest_at),
        p_value=_p_value(statistic, units, hypothesis, sharpest_at),
    )


def _p_value(statistic: float, units: int, hypothesis: Hypothesis, sharpest_at: float) -> float:
    """The width's formula solved for alpha, rho staying as tuned."""
    scaled = units * _rate(hypothesis, sharpest_at)
    evidence = statistic**2 * scaled / (2 * (scaled + 1))
    if not hypothesis.one_sided:
        return min(1.0, math.exp(0.5 * math.log1p(scaled) - evidence))
    if hypothesis.direction.sign * statistic <= 0 or evidence <= 0:
        return 1.0
    return min(1.0, math.sqrt(scaled + 1) / 2 * math.exp(-evidence) / -math.expm1(-evidence))


def running_minimum(
    p_values: Iterable[float | NotComputable],
) -> Iterator[float | NotComputable]:
    """The always-valid p-value at each look: what was once shown stays shown."""
    least: float | None = None
    for value in p_values:
        if not isinstance(value, NotComputable):
            least = value if least is None else min(least, value)
        yield value if least is None else least
