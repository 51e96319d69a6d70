"""What was in production at a moment, who approved it and on what evidence, from the tables."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, prefetch_related_objects

from apps.registry.models import PromotionRequest, RegisteredModel, StageTransition
from apps.registry.production import Arrival, Stretch, stretches
from apps.registry.promotion import Allowance, Stage
from apps.registry.selectors import production_at

MOST_SHOWN = 100


@dataclass(frozen=True)
class Served:
    """A time in production with the move that began it.

    `request` is the promotion request that was signed; None when the version was reinstated.
    """

    stretch: Stretch
    move: StageTransition
    request: PromotionRequest | None

    @property
    def approvers(self) -> list[str]:
        """Keys of who signed, in order; whoever reinstated it where nobody had to."""
        if self.request is None:
            return [self.move.actor_key]
        signed = [one.human for one in self.request.approvals.all() if one.voided_at is None]
        return signed or [self.request.decided_by_key]


def every_time(model: RegisteredModel) -> list[Served]:
    """Every time that a version of the model was in production, oldest first: for files."""
    return _served(list(_arrivals(model)))


def newest_times(model: RegisteredModel, *, at: datetime) -> list[Served]:
    """The newest times in production, and all that `at` falls into, however long ago."""
    newest = list(_arrivals(model)[:MOST_SHOWN])
    known = {move.pk for move in newest}
    then = [one.transition for one in production_at(model, at) if one.transition.pk not in known]
    return _served([*newest, *then])


def _arrivals(model: RegisteredModel) -> QuerySet[StageTransition]:
    """Moves of the model's versions into the top stage, newest first."""
    rows = StageTransition.objects.into_the_top().filter(version__model=model)
    return rows.select_related("request").order_by("-occurred_at", "-id")


def _served(arrivals: list[StageTransition]) -> list[Served]:
    """The times that these moves began, oldest first; the versions' other moves end them."""
    prefetch_related_objects(arrivals, "request__approvals")
    began = {move.pk: move for move in arrivals}
    moves = StageTransition.objects.filter(version__in={move.version_id for move in arrivals})
    columns = ("pk", "version__number", "to_allowance", "to_stage", "occurred_at")
    found = stretches(
        Arrival(key, number, _is_top(allowance, stage), at)
        for key, number, allowance, stage, at in moves.order_by("occurred_at", "id").values_list(
            *columns
        )
    )
    return [
        Served(one, began[one.move_id], began[one.move_id].request)
        for one in found
        if one.move_id in began
    ]


def _is_top(allowance: str, stage: str) -> bool:
    return allowance == Allowance.ALL and stage != Stage.DEPRECATED


def at_moment(served: list[Served], at: datetime) -> list[Served]:
    """Those that were in production at `at`, the newest arrival first."""
    return [one for one in reversed(served) if one.stretch.covers(at)]
