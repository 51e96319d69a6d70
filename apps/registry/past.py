"""What was in production at a moment, who approved it and on what evidence, from the tables."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.registry.models import PromotionRequest, RegisteredModel, StageTransition
from apps.registry.production import Arrival, Stretch, stretches
from apps.registry.promotion import Allowance, Stage

MOST_MOVES = 5_000


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


def times_in_production(model: RegisteredModel) -> list[Served]:
    """Every time that a version of the model was in production, oldest first."""
    moves = list(_moves(model))
    moves.reverse()
    by_id = {move.pk: move for move in moves}
    return [
        Served(one, by_id[one.move_id], by_id[one.move_id].request)
        for one in stretches(_arrival(move) for move in moves)
    ]


def _moves(model: RegisteredModel) -> QuerySet[StageTransition]:
    """The newest moves of the model, newest first."""
    rows = StageTransition.objects.filter(version__model=model).select_related("version", "request")
    return rows.prefetch_related("request__approvals").order_by("-occurred_at", "-id")[:MOST_MOVES]


def _arrival(move: StageTransition) -> Arrival:
    top = move.to_allowance == Allowance.ALL and move.to_stage != Stage.DEPRECATED
    return Arrival(move.pk, move.version.number, top, move.occurred_at)


def at_moment(served: list[Served], at: datetime) -> list[Served]:
    """Those that were in production at `at`, the newest arrival first."""
    return [one for one in reversed(served) if one.stretch.covers(at)]
