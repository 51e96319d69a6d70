"""Which events people are told of by mail, who is told, and in which words.

What an event does not say is read from the log itself: who asked for a promotion, which version a
rollout tried, who owns a model. Words name versions, people and reasons, never feature values.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.accounts.access import GRANTS, Permission, Role
from apps.accounts.models import User
from apps.events.models import Event
from apps.notices.models import NoticeKind

LONGEST_REASON = 300
DECISIONS = {
    "promotion.approved": "approved",
    "promotion.rejected": "rejected",
    "promotion.withdrawn": "withdrawn",
    "promotion.expired": "expired undecided",
    "promotion.voided": "void: what was asked for has changed since",
}
# Restoring an endpoint is part of one of these that happened then, for the same reason.
LARGER = ("rollout.rolled_back", "rollout.aborted", "experiment.stopped")
THEN = timedelta(seconds=5)


@dataclass(frozen=True)
class Occasion:
    """One thing to tell: `path` is the page that it is about."""

    kind: NoticeKind
    to: tuple[User, ...]
    subject: str
    sentence: str
    path: str


def occasion_of(event: Event) -> Occasion | None:
    """What this event gives occasion to, without the people who did it themselves; None = nothing
    or nobody."""
    tell = TELLING.get(event.verb)
    occasion = tell(event) if tell else None
    if occasion is None:
        return None
    others = tuple(user for user in occasion.to if user.key not in _did(event))
    return Occasion(**{**vars(occasion), "to": others}) if others else None


def _waiting(event: Event) -> Occasion:
    what = _words(event, "version"), _words(event, "stage")
    return Occasion(
        NoticeKind.PROMOTION_WAITING,
        _deciders(event),
        f"{what[0]} waits for your decision ({what[1]})",
        f"{_who(event)} asks to promote {what[0]} to {what[1]}{_because(event)}",
        _promotion(event),
    )


def _glass_broken(event: Event) -> Occasion:
    version, stage = _words(event, "version"), _words(event, "stage")
    freeze, told = _words(event, "freeze"), _owner(version.partition("/")[0])
    administrators = _holding(event.team_key, Permission.ADMINISTER)
    to = {one.pk: one for one in (*_deciders(event), *administrators, *_people([told]))}
    return Occasion(
        NoticeKind.PROMOTION_WAITING,
        tuple(to.values()),
        f"The glass was broken for {version} ({stage})",
        f"{_who(event)} lets {version} into {stage} in spite of “{freeze}”, once somebody else "
        f"signs it{_because(event)}",
        _promotion(event),
    )


def _deciders(event: Event) -> tuple[User, ...]:
    """Approvers of the model's team, and whoever else the policy named when it was asked."""
    asked = _first(event.object_key, "promotion.requested") or event
    told: Any = asked.after if isinstance(asked.after, dict) else {}
    wanted = told.get("asked_of") or {}
    teams = [event.team_key, *wanted.get("teams", ())]
    found = [user for team in teams for user in _holding(team, Permission.APPROVE)]
    found += _people(wanted.get("people", ()))
    return tuple({user.pk: user for user in found}.values())


def _decided(event: Event) -> Occasion | None:
    asked = _first(event.object_key, "promotion.requested")
    if asked is None:
        return None
    version, stage = _words(event, "version"), _words(event, "stage")
    outcome = DECISIONS[event.verb]
    by = f" by {_who(event)}" if event.actor_key.startswith("user:") else ""
    return Occasion(
        NoticeKind.PROMOTION_DECIDED,
        tuple(_people([_human(asked)])),
        f"Promotion of {version} to {stage}: {outcome}",
        f"Your request to promote {version} to {stage} is {outcome}{by}{_because(event)}",
        _promotion(event),
    )


def _rolled_back(event: Event) -> Occasion | None:
    created = _first(event.object_key, "rollout.created")
    if created is None:
        return None
    version, endpoint = _words(created, "candidate"), _words(created, "endpoint")
    return Occasion(
        NoticeKind.ROLLED_BACK,
        tuple(_people([_owner(version.partition("/")[0]), _human(created)])),
        f"{version} was rolled back on {endpoint}",
        f"{_who(event)} rolled {version} back on endpoint {endpoint}{_because(event)}",
        reverse("rollout", args=[_id(event)]),
    )


def _restored(event: Event) -> Occasion | None:
    """Rolled back by hand, outside any rollout or experiment."""
    then = (event.occurred_at - THEN, event.occurred_at + THEN)
    larger = Event.objects.filter(
        verb__in=LARGER, occurred_at__range=then, team_key=event.team_key, reason=event.reason
    )
    created = _first(event.object_key, "endpoint.created")
    if created is None or larger.exists():
        return None
    endpoint = _id(event)
    return Occasion(
        NoticeKind.ROLLED_BACK,
        tuple(_people([_owner(_words(created, "model"))])),
        f"Endpoint {endpoint} was rolled back",
        f"{_who(event)} put endpoint {endpoint} back to an earlier split{_because(event)}",
        reverse("endpoint", args=[endpoint]),
    )


def _failed(event: Event) -> Occasion:
    version = _words(event, "version")
    model, _, number = version.partition("/")
    asked = _first(event.object_key, "deployment.requested")
    return Occasion(
        NoticeKind.DEPLOYMENT_FAILED,
        tuple(_people([_owner(model), _human(asked) if asked else ""])),
        f"Deployment of {version} failed",
        f"{version} could not be deployed{_because(event)}",
        reverse("version", args=[model, number]),
    )


def _disabled(event: Event) -> Occasion:
    url, made_by = _words(event, "url"), _words(event, "created_by")
    administrators = _holding(event.team_key, Permission.ADMINISTER)
    to = {user.pk: user for user in [*administrators, *_people([made_by])]}
    return Occasion(
        NoticeKind.WEBHOOK_DISABLED,
        tuple(to.values()),
        "A webhook was disabled",
        f"Nothing is sent to {url} any more{_because(event)}",
        reverse("webhook", args=[_id(event)]),
    )


TELLING: Mapping[str, Callable[[Event], Occasion | None]] = {
    "promotion.requested": _waiting,
    "promotion.glass_broken": _glass_broken,
    **dict.fromkeys(DECISIONS, _decided),
    "rollout.rolled_back": _rolled_back,
    "endpoint.restored": _restored,
    "deployment.failed": _failed,
    "webhook.disabled": _disabled,
}


def _holding(team_key: str, permission: Permission) -> QuerySet[User]:
    """People whose role in the team grants this."""
    roles = [role.value for role in Role if permission in GRANTS[role]]
    held = User.objects.filter(memberships__team__key=team_key, memberships__role__in=roles)
    return held.filter(is_active=True).distinct().order_by("username")


def _people(keys: Iterable[str]) -> QuerySet[User]:
    """Active people of these actor keys; a program's or the system's is nobody."""
    names = [key.removeprefix("user:") for key in keys if key.startswith("user:")]
    return User.objects.filter(username__in=names, is_active=True).order_by("username")


def _owner(model: str) -> str:
    """The key of a model's owner, as the log last told it; "" when it never did."""
    told = Event.objects.for_object(f"model:{model}").filter(after__has_key="owner").first()
    return f"user:{_words(told, 'owner')}" if told else ""


def _first(object_key: str, verb: str) -> Event | None:
    return Event.objects.filter(object_key=object_key, verb=verb).order_by("id").first()


def _human(event: Event) -> str:
    return event.responsible_key or event.actor_key


def _did(event: Event) -> set[str]:
    return {event.actor_key, event.responsible_key}


def _who(event: Event) -> str:
    kind, _, name = event.actor_key.partition(":")
    return "Switchyard" if kind == "system" else name


def _because(event: Event) -> str:
    reason = " ".join(event.reason.split())
    if not reason:
        return "."
    shown = reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
    return f": “{shown}”"


def _words(event: Event, name: str) -> str:
    told: Any = event.after
    return str(told.get(name, "")) if isinstance(told, dict) else ""


def _id(event: Event) -> str:
    return event.object_key.partition(":")[2]


def _promotion(event: Event) -> str:
    return reverse("approval", args=[_id(event)])
