"""The pictures of a rollout and of an endpoint, as data for the page's script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.deployments.models import Rollout
from apps.monitoring.selectors import Line, VariantSeries, series
from apps.routing.models import Endpoint, Phase

POINTS = 120
COLOURS = 6
Lines = Mapping[Line, VariantSeries]


@dataclass(frozen=True)
class Entry:
    """One line of a picture: its name ("v2 canary"), its swatch, and its figure in words."""

    name: str
    swatch: str
    figure: str


@dataclass(frozen=True)
class Chart:
    """One picture: a title, its data, and the same in words, a line each."""

    slug: str
    title: str
    data: dict[str, Any]
    legend: Sequence[Entry]

    @property
    def element_id(self) -> str:
        """The id of the element that holds the data."""
        return f"chart-{self.slug}"

    @property
    def words(self) -> SafeString:
        """What it shows, as the page shows it below the picture."""
        return render_to_string("deployments/_legend.html", {"legend": self.legend})


def of_rollout(rollout: Rollout, *, until: datetime) -> list[Chart]:
    """Error rate, latency and throughput of baseline and candidate since the rollout began."""
    since = (rollout.started_at or rollout.created_at) - timedelta(seconds=10)
    conditions = rollout.typed_conditions()
    found = _series(rollout.endpoint, since, until)
    roles = {
        rollout.baseline.version_key: "baseline",
        rollout.candidate.version_key: "candidate",
    }
    errors_limit = {"y": 100 * conditions.error_rate_fail, "label": "limit"}
    latency_limit = {"y": conditions.p99_fail_ms, "label": "limit"}
    return _charts(found, roles, [errors_limit], [latency_limit])


def of_endpoint(endpoint: Endpoint, *, until: datetime, span: timedelta) -> list[Chart]:
    """The same three of an endpoint's last `span`."""
    found = _series(endpoint, until - span, until)
    return _charts(found, roles_of(found), [], [])


def _charts(
    found: Lines,
    roles: Mapping[str, str],
    errors_limits: Sequence[Mapping[str, object]],
    latency_limits: Sequence[Mapping[str, object]],
) -> list[Chart]:
    pictures = (
        ("errors", "Error rate", errors(found, roles, errors_limits)),
        ("latency", "Latency p99", latency(found, roles, latency_limits)),
        ("requests", "Requests", requests(found, roles)),
    )
    return [
        Chart(slug, title, data, legend_of(found, roles, slug)) for slug, title, data in pictures
    ]


def roles_of(found: Lines) -> dict[str, str]:
    """Colours by version, so that a canary which becomes stable stays what it was: the version
    that was a canary is the candidate, the oldest that was not is the baseline."""
    canaries = {line.version for line in found if line.variant == "canary"}
    others = sorted({line.version for line in found} - canaries, key=_number)
    return {
        **dict.fromkeys(canaries if len(canaries) == 1 else (), "candidate"),
        **dict.fromkeys(others[:1], "baseline"),
    }


def _number(version: str) -> int:
    return int(version.rpartition("/")[2])


def name_of(line: Line) -> str:
    """ "v2 canary"."""
    return f"v{_number(line.version)} {line.variant}"


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


def _series(endpoint: Endpoint, since: datetime, until: datetime) -> Lines:
    """Every line, oldest version first, in steps that give about POINTS points."""
    step_s = max(1, round((until - since).total_seconds() / POINTS))
    found = series(endpoint.name, since, until, step_s)
    return dict(sorted(found.items(), key=lambda item: (_number(item[0].version), item[0])))


def _data(
    found: Lines,
    roles: Mapping[str, str],
    values: Mapping[Line, Sequence[float | None]],
    **more: Any,
) -> dict[str, Any]:
    first = next(iter(found.values()), None)
    return {
        "x": [at.isoformat() for at in first.at] if first else [],
        "series": [
            {
                "name": name_of(line),
                "role": roles.get(line.version, ""),
                "dash": "dot" if line.variant == "canary" and _has_moved_on(line, found) else "",
                "y": list(values[line]),
            }
            for line in found
        ],
        **more,
    }


def _has_moved_on(line: Line, found: Lines) -> bool:
    """Whether the version has another role, too: it keeps its colour, so the lines must differ."""
    return any(other.version == line.version and other != line for other in found)


def errors(
    found: Lines, roles: Mapping[str, str], limits: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """Error rate of each line, in percent."""
    values = {line: [_percent(rate) for rate in row.error_rate] for line, row in found.items()}
    return _data(found, roles, values, suffix=" %", unit="%", limits=list(limits))


def latency(
    found: Lines, roles: Mapping[str, str], limits: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """99th percentile of latency of each line, in ms; limits far above are left out."""
    values = {line: row.p99_ms for line, row in found.items()}
    highest = max((y for row in values.values() for y in row if y is not None), default=0.0)
    near = [limit for limit in limits if float(str(limit["y"])) <= 4 * highest]
    return _data(found, roles, values, suffix=" ms", unit="ms", limits=near)


def requests(found: Lines, roles: Mapping[str, str]) -> dict[str, Any]:
    """Requests of each line, per second."""
    values = {line: _rates(row) for line, row in found.items()}
    return _data(found, roles, values, suffix="/s", unit="/s")


def legend_of(found: Lines, roles: Mapping[str, str], what: str) -> list[Entry]:
    """Each line with its figure over the whole time; empty without traffic."""
    if not any(sum(row.requests) for row in found.values()):
        return []
    return [
        Entry(
            name=name_of(line),
            swatch=roles.get(line.version) or f"series-{number % COLOURS + 1}",
            figure=_summary(row, what),
        )
        for number, (line, row) in enumerate(found.items())
    ]


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
