"""What was measured of a version: from its evaluation table where there is one, else as logged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from apps.registry.evaluation.statistics import Estimate
from apps.registry.evaluation.table import FILES, Evaluated, estimates
from apps.registry.models import ModelVersion

# Logged figures that are shares of all evaluated rows: any sample size fits them.
SHARES = frozenset({"accuracy", "error_rate"})
# Shares of some of the rows: only their own sample size will do.
PARTIAL = frozenset({"precision", "recall", "specificity", "false_positive_rate"})
SAMPLE_SIZES = ("evaluation_rows", "test_rows", "n_test", "test_n", "n")
LOWER = ("loss", "error", "brier", "mae", "mse", "rmse", "mape", "false_positive_rate")
HEADLINE = ("accuracy", "auc", "mae", "mse", "brier")


@dataclass(frozen=True)
class Measured:
    """Figures by name; `table` where they come from an evaluation table."""

    figures: Mapping[str, Estimate]
    table: Evaluated | None = None

    def shared_with(self, other: "Measured") -> tuple[str, ...]:
        """Names of what was measured of both: the headline figures, else all."""
        both = [name for name in self.figures if name in other.figures]
        headline = tuple(name for name in HEADLINE if name in both)
        return headline or tuple(sorted(both))


def evaluated(version: ModelVersion) -> Evaluated | None:
    """The counts of the version's evaluation table, if it has one."""
    rows = version.evidence_files.filter(name__in=FILES).filter(summary__has_key="overall")
    found = rows.order_by("-name").first()
    return msgspec.convert(found.summary, Evaluated) if found else None


def measured(version: ModelVersion) -> Measured:
    """All figures of a version; what the table counts goes before what was logged."""
    table = evaluated(version)
    counted = estimates(table) if table else {}
    return Measured({**_logged(version.metrics), **counted}, table)


def _logged(metrics: Mapping[str, float | None]) -> dict[str, Estimate]:
    known = {name: value for name, value in metrics.items() if _finite(value)}
    sizes = {name for name in known if name in SAMPLE_SIZES or name.endswith(("_n", "_se"))}
    return {
        name: _estimate(name, float(value), known)
        for name, value in known.items()
        if name not in sizes and value is not None
    }


def _estimate(name: str, value: float, known: Mapping[str, float | None]) -> Estimate:
    rows = _rows(name, known)
    error = known.get(f"{name}_se")
    if error is not None:
        return Estimate(value, rows, error=float(error))
    if rows and name in SHARES | PARTIAL and 0.0 <= value <= 1.0:
        return Estimate(value, rows, hits=value * rows)
    return Estimate(value, rows)


def _rows(name: str, known: Mapping[str, float | None]) -> int:
    """The sample size that was logged for a figure; 0 where none was."""
    own = (f"{name}_n", f"n_{name}")
    names = (*own, *SAMPLE_SIZES) if name in SHARES else own
    found = next((known[one] for one in names if known.get(one)), None)
    return int(found) if found else 0


def _finite(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def lower_is_better(name: str) -> bool:
    """Whether less of this metric is better, by its name."""
    return any(part in name.lower() for part in LOWER)
