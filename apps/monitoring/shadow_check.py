"""Shadow agreement as a check of promotions: long enough, on enough rows, and alike enough."""

from typing import ClassVar

import msgspec
from django.db.models import Max, Min

from apps.monitoring.models import ShadowWindow
from apps.monitoring.performance import wilson
from apps.monitoring.shadow import ShadowTraffic
from apps.monitoring.shadows import shadow_comparison
from apps.registry.checks import CheckContext, CheckResult
from apps.registry.policy import Verdict

DAY_S = 86_400.0


class ShadowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The least rows and seconds; the least agreement (none: it is only shown); the most failures.

    Agreement and failures are judged by the bounds of their 95 % intervals.
    """

    minimum_rows: int = 1_000
    minimum_s: float = DAY_S
    minimum_agreement: float | None = None
    most_failed: float = 0.02


class ShadowAgreement:
    """The version ran beside the champion on real traffic, long enough to be judged."""

    name: ClassVar = "shadow"
    title: ClassVar = "Shadow agreement"

    def applies_to(self, context: CheckContext) -> bool:
        return context.incumbent is not None

    def run(self, context: CheckContext) -> CheckResult:
        champion = context.incumbent
        if champion is None:
            return CheckResult(Verdict.PASS, "there is no champion to run beside")
        wanted = msgspec.convert(dict(context.settings), ShadowSettings)
        key, beside = context.version.version_key, champion.version_key
        traffic = sum(
            (
                one.traffic
                for one in shadow_comparison(version_key=key, segment="")
                if one.baseline == beside
            ),
            ShadowTraffic(),
        )
        seconds = _seconds(key, beside)
        figures = {
            "rows": traffic.rows,
            "minimum_rows": wanted.minimum_rows,
            "seconds": seconds,
            "minimum_s": wanted.minimum_s,
            "agreement": traffic.agreement,
            "failed": traffic.failed,
            "mean_shift": traffic.mean_shift,
        }
        verdict, words = _judge(traffic, seconds, wanted)
        link = f"/models/{context.version.model.name}/versions/{context.version.number}/"
        return CheckResult(verdict, f"beside {champion}: {words}", figures, link)


def _seconds(version_key: str, baseline_key: str) -> float:
    """From the first to the last minute in which the two answered together."""
    rows = ShadowWindow.objects.filter(
        version_key=version_key, baseline_key=baseline_key, segment="", rows__gt=0
    )
    ends = rows.aggregate(first=Min("started_at"), last=Max("started_at"))
    if ends["first"] is None:
        return 0.0
    widest = rows.aggregate(width=Max("width_s"))["width"] if ends["first"] == ends["last"] else 0
    return float((ends["last"] - ends["first"]).total_seconds() or min(widest, 60))


def _judge(traffic: ShadowTraffic, seconds: float, wanted: ShadowSettings) -> tuple[Verdict, str]:
    if not traffic.rows and not traffic.failed:
        return Verdict.INCONCLUSIVE, "it was never its shadow"
    failed = wilson(traffic.failed, traffic.rows + traffic.failed)
    if failed is not None and failed.low > wanted.most_failed:
        said = f"{traffic.failed:,} of {traffic.rows + traffic.failed:,} rows failed"
        return Verdict.FAIL, f"{said}, {wanted.most_failed:.1%} are allowed"
    if traffic.rows < wanted.minimum_rows or seconds < wanted.minimum_s:
        return Verdict.INCONCLUSIVE, (
            f"{traffic.rows:,} of {wanted.minimum_rows:,} rows in {_span(seconds)} "
            f"of {_span(wanted.minimum_s)}"
        )
    return _agreement(traffic, seconds, wanted)


def _agreement(
    traffic: ShadowTraffic, seconds: float, wanted: ShadowSettings
) -> tuple[Verdict, str]:
    words = f"{traffic.rows:,} rows in {_span(seconds)}"
    found = traffic.agreement_interval
    if found is not None and traffic.agreement is not None:
        words += f", the same label on {traffic.agreement:.2%}"
    if wanted.minimum_agreement is None:
        return Verdict.PASS, words
    least = wanted.minimum_agreement
    if found is None:
        return Verdict.INCONCLUSIVE, f"{words}; no labels to compare, {least:.1%} is needed"
    words += f" ({found.low:.2%} to {found.high:.2%}), {least:.1%} is needed"
    if found.low >= least:
        return Verdict.PASS, words
    return (Verdict.FAIL if found.high < least else Verdict.INCONCLUSIVE), words


def _span(seconds: float) -> str:
    for unit, name in ((DAY_S, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
