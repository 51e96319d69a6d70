"""The inbox of approvals: what waits for whom, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.access import Permission, Principal
from apps.events.errors import Invalid
from apps.registry.models import Approval, PromotionRequest, RegisteredModel
from apps.registry.promotion import RequestState


class Box(StrEnum):
    """Parts of the inbox: for me to decide, all that waits, asked by me, decided, everything."""

    MINE = "mine"
    WAITING = "waiting"
    ASKED = "asked"
    DECIDED = "decided"
    ALL = "all"


@dataclass(frozen=True)
class InboxFilter:
    """What an inbox is narrowed to; empty is anything. `older_than` is the least age."""

    box: Box = Box.WAITING
    team: str = ""
    tier: str = ""
    stage: str = ""
    model: str = ""
    state: str = ""
    older_than: timedelta | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """From a query string: the fields by name, `older_than_h` in hours. Raises Invalid."""
        names = ("team", "tier", "stage", "model", "state")
        words = {name: given.get(name, "") for name in names}
        try:
            box = Box(given.get("box") or Box.WAITING)
        except ValueError as error:
            raise Invalid(f"must be one of {', '.join(Box)}", field="box") from error
        return cls(box=box, older_than=_hours(given.get("older_than_h", "")), **words)


def _hours(text: str) -> timedelta | None:
    if not text:
        return None
    try:
        return timedelta(hours=float(text))
    except (ValueError, OverflowError) as error:
        raise Invalid("takes a number of hours", field="older_than_h") from error


def inbox(
    principal: Principal, wanted: InboxFilter, *, now: datetime
) -> QuerySet[PromotionRequest]:
    """Requests of a part of the inbox, newest first, with version, model and team."""
    rows: QuerySet[PromotionRequest] = PromotionRequest.objects.select_related(
        "version__model__team"
    )
    rows = _in_box(rows, principal, wanted.box, now=now)
    columns = {
        "version__model__team__key": wanted.team,
        "version__model__tier": wanted.tier,
        "target_stage": wanted.stage,
        "state": wanted.state,
    }
    rows = rows.filter(**{name: value for name, value in columns.items() if value})
    if wanted.model:
        # By its key: plans differ by whether a model has ten versions or 100,000.
        model = RegisteredModel.objects.filter(name=wanted.model).first()
        rows = rows.filter(version__model=model) if model else rows.none()
    if wanted.older_than is not None:
        rows = rows.filter(created_at__lte=now - wanted.older_than)
    return rows.order_by("-id")


def _in_box(
    rows: QuerySet[PromotionRequest], principal: Principal, box: Box, *, now: datetime
) -> QuerySet[PromotionRequest]:
    open_now = Q(state=RequestState.REQUESTED.value, expires_at__gt=now)
    if box is Box.MINE:
        return _for_me(rows.filter(open_now), principal)
    if box is Box.WAITING:
        return rows.filter(open_now)
    if box is Box.ASKED:
        return rows.filter(requester=principal.human_key)
    return rows.exclude(state=RequestState.REQUESTED.value) if box is Box.DECIDED else rows


def _for_me(rows: QuerySet[PromotionRequest], principal: Principal) -> QuerySet[PromotionRequest]:
    """Open requests that this person may decide and has not signed yet."""
    me = principal.human_key
    teams = principal.teams_with(Permission.APPROVE)
    if principal.kind != "user" or not teams:
        return rows.none()
    named = Q(terms__rules__groups__contains=[{"people": [me]}])
    for team in teams:
        named |= Q(terms__rules__groups__contains=[{"teams": [team]}])
    ungrouped = Q(terms__rules__groups__isnull=True)
    for role in {role.value for roles in principal.roles.values() for role in roles}:
        own = [key for key, roles in principal.roles.items() if role in {r.value for r in roles}]
        has_role = Q(terms__rules__groups__contains=[{"roles": [role]}])
        named |= has_role & Q(version__model__team__key__in=own)
    signed = Approval.objects.filter(request=OuterRef("pk"), human=me, voided_at__isnull=True)
    mine = (ungrouped & Q(version__model__team__key__in=teams)) | named
    return (
        rows.filter(mine)
        .exclude(requester=me)
        .exclude(version__author=me)
        .exclude(glass_broken_by=me)
        .exclude(Exists(signed))
    )
