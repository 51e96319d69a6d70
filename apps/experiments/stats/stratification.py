"""Effects joined over strata, so that arms of different make-up are compared like with like.

Two uses: post-stratification by something known before exposure (Miratrix, Sekhon, Yu 2013), with
each stratum's share of all units as its weight; and phases of different splits, where pooling
would let a change over time pass for an effect (Simpson's paradox).
"""

from collections.abc import Sequence

from apps.experiments.stats.computable import NotComputable, first_reason
from apps.experiments.stats.estimates import Estimate

Stratum = Sequence[Estimate | NotComputable]


def population_weights(strata: Sequence[Stratum]) -> list[float]:
    """Each stratum's share of all units: the effect on the population as it came."""
    sizes = [sum(one.units for one in stratum if isinstance(one, Estimate)) for stratum in strata]
    return _shares([float(size) for size in sizes])


def overlap_weights(strata: Sequence[Stratum]) -> list[float]:
    """Weights in proportion to 1 / sum(1 / n_arm): sharpest where the effect is the same in all.

    A phase in which only one arm had units weighs nothing.
    """
    return _shares([_overlap(stratum) for stratum in strata])


def _overlap(stratum: Stratum) -> float:
    units = [one.units if isinstance(one, Estimate) else 0 for one in stratum]
    return 1 / sum(1 / each for each in units) if units and all(units) else 0.0


def _shares(sizes: Sequence[float]) -> list[float]:
    total = sum(sizes)
    return [size / total if total else 0.0 for size in sizes]


def stratified(
    strata: Sequence[Stratum], weights: Sequence[float]
) -> tuple[Estimate, ...] | NotComputable:
    """One estimate per arm: sum w_k m_k with variance sum w_k^2 var_k, the same w for all arms.

    `strata` lists each stratum's arms in one order; `weights` sum to 1 and are made from units
    only, never from outcomes. A stratum that weighs something must be computable in every arm.
    """
    counted = [(one, w) for one, w in zip(strata, weights, strict=True) if w > 0]
    if not counted:
        return NotComputable("no stratum has units in every arm")
    if reason := first_reason(*(arm for stratum, _ in counted for arm in stratum)):
        return NotComputable(f"in one stratum {reason.reason}")
    joined = []
    for number in range(len(counted[0][0])):
        parts = [(stratum[number], w) for stratum, w in counted]
        joined.append(_join([(one, w) for one, w in parts if isinstance(one, Estimate)]))
    return tuple(joined)


def _join(parts: Sequence[tuple[Estimate, float]]) -> Estimate:
    scaled = [estimate.times(weight) for estimate, weight in parts]
    variance = sum(one.variance for one in scaled)
    satterthwaite = sum(one.variance**2 / one.degrees for one in scaled)
    return Estimate(
        value=sum(one.value for one in scaled),
        variance=variance,
        units=sum(one.units for one in scaled),
        degrees=variance**2 / satterthwaite if satterthwaite > 0 else float("inf"),
    )
