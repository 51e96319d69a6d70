"""The verdict log: a row when what is known of a metric changes, and when a step ends."""

from collections.abc import Sequence
from datetime import datetime

from apps.deployments.analysis import Verdict as Judgement
from apps.deployments.models import Rollout, Verdict


def write_verdicts(
    rollout: Rollout, verdicts: Sequence[Judgement], *, now: datetime, final: bool
) -> None:
    """Keep the newest verdicts for whoever watches, and log those that say something new.

    With `final` all are logged: they are what a decision rests on.
    """
    if not verdicts:
        return
    before = {row["metric"]: row["verdict"] for row in rollout.latest}
    news = [each for each in verdicts if final or before.get(each.metric) != each.outcome]
    latest = [_as_json(each) for each in verdicts]
    if not _keep(rollout, latest, now, final=final):
        return
    Verdict.objects.bulk_create(
        Verdict(
            rollout=rollout,
            step_index=rollout.step_index,
            metric=each.metric.value,
            verdict=each.outcome.value,
            sentence=each.sentence,
            figures=dict(each.figures),
            at=now,
        )
        for each in news
    )


def _keep(rollout: Rollout, latest: object, now: datetime, *, final: bool) -> bool:
    """Unless a transition, or a newer look, came in between."""
    same = Rollout.objects.filter(pk=rollout.pk, revision=rollout.revision)
    if not final:
        same = same.filter(judged_at=rollout.judged_at)
    return bool(same.update(latest=latest, judged_at=now))


def _as_json(verdict: Judgement) -> dict[str, object]:
    return {
        "metric": verdict.metric.value,
        "verdict": verdict.outcome.value,
        "sentence": verdict.sentence,
        "figures": dict(verdict.figures),
    }
