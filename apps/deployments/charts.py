"""The pictures of a rollout and of an endpoint, as data for the page's script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.deployments.models import Rollout
from apps.monitoring.selectors import VariantSeries, series
from apps.routing.models import Endpoint, Phase

POINTS = 120
ROLES = {"stable": "baseline", "canary": "candidate"}


@dataclass(frozen=True)
class Chart:
    """One picture: a title, its data, and what it shows in words."""

    slug: str
    title: str
    data: dict[str, Any]
    words: str

    @property
    def element_id(self) -> str:
        """The id of the element that holds the data."""
        return f"chart-{self.slug}"


def of_rollout(rollout: Rollout, *, until: datetime) -> list[Chart]:
    """Error rate, latency and throughput of baseline and candidate since the rollout began."""
    since = (rollout.started_at or rollout.created_at) - timedelta(seconds=10)
    conditions = rollout.typed_conditions()
    found = _series(rollout.endpoint, since, until)
    errors_limit = {"y": 100 * conditions.error_rate_fail, "label": "limit"}
    latency_limit = {"y": conditions.p99_fail_ms, "label": "limit"}
    return [
        Chart("errors", "Error rate", errors(found, [errors_limit]), words_of(found, "errors")),
        Chart("latency", "Latency p99", latency(found, [latency_limit]), words_of(found, "p99")),
        Chart("requests", "Requests", requests(found), words_of(found, "requests")),
    ]


def of_endpoint(endpoint: Endpoint, *, until: datetime, span: timedelta) -> list[Chart]:
    """The same three of an endpoint's last `span`."""
    found = _series(endpoint, until - span, until)
    return [
        Chart("errors", "Error rate", errors(found, []), words_of(found, "errors")),
        Chart("latency", "Latency p99", latency(found, []), words_of(found, "p99")),
        Chart("requests", "Requests", requests(found), words_of(found, "requests")),
    ]


def share(rollout: Rollout) -> dict[str, Any]:
    """The candidate's share of the buckets over time, as steps."""
    phases = list(Phase.objects.filter(endpoint=rollout.endpoint, rollout_key=rollout.key))
    phases.sort(key=lambda phase: phase.number)
    x = [phase.started_at.isoformat() for phase in phases]
    y = [_candidate_weight(phase, rollout) / 100 for phase in phases]
    if phases:
        x.append((phases[-1].ended_at or rollout.ended_at or timezone.now()).isoformat())
        y.append(y[-1])
    line = {"name": "candidate", "role": "candidate", "y": y, "shape": "hv", "fill": True}
    return {"x": x, "series": [line], "suffix": " %", "range": [0, 100]}


def _candidate_weight(phase: Phase, rollout: Rollout) -> int:
    key = rollout.candidate.version_key
    return sum(item["weight"] for item in phase.variants if item["version"] == key)


def _series(endpoint: Endpoint, since: datetime, until: datetime) -> Mapping[str, VariantSeries]:
    """Every variant's series, the baseline first, in steps that give about POINTS points."""
    step_s = max(1, round((until - since).total_seconds() / POINTS))
    found = series(endpoint.name, since, until, step_s)
    return dict(sorted(found.items(), key=lambda item: item[0] != "stable"))


def _data(
    found: Mapping[str, VariantSeries], values: Mapping[str, Sequence[float | None]], **more: Any
) -> dict[str, Any]:
    first = next(iter(found.values()), None)
    return {
        "x": [at.isoformat() for at in first.at] if first else [],
        "series": [
            {"name": name, "role": ROLES.get(name, ""), "y": list(values[name])} for name in found
        ],
        **more,
    }


def errors(
    found: Mapping[str, VariantSeries], limits: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """Error rate of each variant, in percent."""
    values = {name: [_percent(rate) for rate in row.error_rate] for name, row in found.items()}
    return _data(found, values, suffix=" %", unit="%", limits=list(limits))


def latency(
    found: Mapping[str, VariantSeries], limits: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """99th percentile of latency of each variant, in ms; limits far above are left out."""
    values = {name: row.p99_ms for name, row in found.items()}
    highest = max((y for row in values.values() for y in row if y is not None), default=0.0)
    near = [limit for limit in limits if float(str(limit["y"])) <= 4 * highest]
    return _data(found, values, suffix=" ms", unit="ms", limits=near)


def requests(found: Mapping[str, VariantSeries]) -> dict[str, Any]:
    """Requests of each variant, per second."""
    values = {name: _rates(row) for name, row in found.items()}
    return _data(found, values, suffix="/s", unit="/s")


def words_of(found: Mapping[str, VariantSeries], what: str) -> str:
    """The same over the whole time, as one line of text."""
    if not any(sum(row.requests) for row in found.values()):
        return "No traffic in this time."
    return " · ".join(f"{name} {_summary(row, what)}" for name, row in found.items())


def _summary(row: VariantSeries, what: str) -> str:
    total = sum(row.requests)
    if what == "requests":
        return f"{total:,}".replace(",", "\u202f")
    if what == "errors":
        return f"{100 * sum(row.failed) / total:.2g} %" if total else "no traffic"
    known = [value for value in row.p99_ms if value is not None]
    return f"highest {max(known):.3g} ms" if known else "no answers"


def _percent(rate: float | None) -> float | None:
    return None if rate is None else 100 * rate


def _rates(row: VariantSeries) -> list[float | None]:
    if len(row.at) < 2:
        return [float(count) for count in row.requests]
    step_s = (row.at[1] - row.at[0]).total_seconds()
    return [count / step_s for count in row.requests]
