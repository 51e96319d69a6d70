"""Reads over several models of this app."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.accounts.access import Permission, Principal
from apps.mirror.errors import NoDifference, NoMirror
from apps.mirror.models import Difference, Mirror, MirroredModel
from apps.registry.models import ModelVersion


@dataclass(frozen=True)
class Fares:
    """How a mirror fares, in one sentence for each direction; `tone` is a badge's."""

    word: str
    tone: str
    polling: str
    writing: str


def mirrors_of(principal: Principal) -> QuerySet[Mirror]:
    """Mirrors, as everybody in the organisation may read, with `owes_since`."""
    owed = MirroredModel.objects.filter(mirror=OuterRef("pk"), unwritten_at__isnull=False)
    oldest = owed.order_by("unwritten_at").values("unwritten_at")[:1]
    rows = Mirror.objects.select_related("team", "owner")
    seen = rows if principal.can_anywhere(Permission.VIEW) else rows.none()
    return seen.annotate(owes_since=Subquery(oldest))


def counted(mirrors: QuerySet[Mirror]) -> QuerySet[Mirror]:
    """With `models_here` and `differences_open`."""

    def count(rows: QuerySet[MirroredModel] | QuerySet[Difference], by: str) -> Coalesce:
        counts = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
        return Coalesce(Subquery(counts), 0)

    here = MirroredModel.objects.filter(mirror=OuterRef("pk"), model__isnull=False)
    unlike = Difference.objects.open().filter(mirrored__mirror=OuterRef("pk"))
    return mirrors.annotate(
        models_here=count(here, "mirror"), differences_open=count(unlike, "mirrored__mirror")
    )


def get_mirror(principal: Principal, pk: int) -> Mirror:
    """A mirror that this principal may see, with counts. Raises NoMirror."""
    found = counted(mirrors_of(principal)).filter(pk=pk).first()
    if found is None:
        raise NoMirror(f"there is no mirror {pk}")
    return found


def differences_of(principal: Principal) -> QuerySet[Difference]:
    """Differences of the mirrors that this principal may see."""
    may = principal.can_anywhere(Permission.VIEW)
    rows = Difference.objects.all() if may else Difference.objects.none()
    return rows.select_related(
        "mirrored__mirror__team", "mirrored__model", "mirrored_version__version__model"
    )


def get_difference(principal: Principal, pk: int) -> Difference:
    """A difference that this principal may see. Raises NoDifference."""
    found = differences_of(principal).filter(pk=pk).first()
    if found is None:
        raise NoDifference(f"there is no difference {pk}")
    return found


def open_of_version(version: ModelVersion) -> QuerySet[Difference]:
    """Open differences that concern a version: its own, and those of its model."""
    rows = Difference.objects.open().select_related("mirrored__mirror", "mirrored_version")
    own = Q(mirrored_version__version=version)
    return rows.filter(own | Q(mirrored__model=version.model_id, mirrored_version__isnull=True))


def owes_since(mirror: Mirror) -> datetime | None:
    """Since when MLflow waits for the oldest thing that it is owed."""
    found: datetime | None = mirror.mirrored.aggregate(oldest=Min("unwritten_at"))["oldest"]
    return found


def fares(mirror: Mirror, *, owed_since: datetime | None, now: datetime) -> Fares:
    """What a mirror's page says first."""
    if mirror.paused_at is not None:
        return Fares("paused", "", f"Paused: {mirror.paused_reason}", _owes(owed_since, now))
    polling = _polling(mirror)
    if not mirror.writes_back:
        writing = "Nothing is written back."
    elif mirror.write_failures:
        writing = f"MLflow did not take what was written: {mirror.write_error}. It is tried again."
    else:
        writing = _owes(owed_since, now)
    if mirror.failures or mirror.write_failures:
        return Fares("waiting for MLflow", "failing", polling, writing)
    if mirror.swept_at is None:
        return Fares("first sweep", "attention", polling, writing)
    return Fares("in step", "ok", polling, writing)


def _polling(mirror: Mirror) -> str:
    if mirror.failures:
        times = "once" if mirror.failures == 1 else f"{mirror.failures} times in a row"
        return f"MLflow failed {times}: {mirror.error}. It is asked again."
    if mirror.sweep_started_at is not None:
        kind = "everything" if mirror.is_full else "what changed"
        return f"Looking at {kind}; {mirror.models_seen:,} models so far."
    return "Every model was looked at." if mirror.swept_at else "Nothing was looked at yet."


def _owes(owed_since: datetime | None, now: datetime) -> str:
    if owed_since is None:
        return "MLflow has been told everything."
    lag = max(timedelta(), now - owed_since)
    return f"MLflow is {int(lag.total_seconds()):,} s behind what was decided here."
