"""What teams and the organisation ask of promotions: every change is an edition with a reason.

A team's administrators write for the team; what holds for all is written by whoever administers
any team.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, authorise_anywhere
from apps.accounts.models import Team
from apps.events import services as events
from apps.notices import outbound
from apps.notices.signing import new_secret, seal
from apps.registry import checks
from apps.registry.checks.examined import TITLES
from apps.registry.checks.hooks import PREFIX, hook_of
from apps.registry.errors import AlreadyExists, Conflict, Invalid, StageInUse
from apps.registry.freezes import BadWindow, read_window, zone_of
from apps.registry.models import (
    CheckHook,
    FreezeWindow,
    ModelVersion,
    PromotionPolicy,
    StageLadder,
    Tier,
)
from apps.registry.policy import EXAMINATION, BadPolicy, Policy, read_policy
from apps.registry.promotion import OFF_LADDER, Allowance, BadLadder, Ladder, Rung
from apps.registry.terms import ladder_of

HOOK_NAME = r"^[a-z0-9][a-z0-9-]{0,59}$"
MOST_RUNGS = 12


def _authorise(actor: Principal, team: Team | None) -> None:
    if team is None:
        authorise_anywhere(actor, Permission.ADMINISTER)
    else:
        authorise(actor, Permission.ADMINISTER, team_key=team.key)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid("say why", field="reason")


def _record(
    actor: Principal,
    verb: str,
    row: StageLadder | PromotionPolicy | FreezeWindow | CheckHook,
    *,
    before: object = None,
    after: object = None,
    reason: str = "",
) -> None:
    events.record(
        actor=actor,
        verb=verb,
        object_key=row.key,
        team_key=row.team.key if row.team else "",
        before=before,
        after=after,
        reason=reason,
    )


@transaction.atomic
def set_ladder(
    *, actor: Principal, team: Team | None, stages: Sequence[Mapping[str, str]], reason: str
) -> StageLadder:
    """Give a team stages of its own, or the organisation; none takes them away.

    A stage where versions stand stays as it is. Raises PermissionDenied, Invalid or StageInUse.
    """
    _authorise(actor, team)
    _require_reason(reason)
    wanted = _ladder(stages)
    _one_at_a_time("ladder", team)
    _require_kept(team, wanted)
    rows = StageLadder.objects.filter(team=team)
    before = rows.order_by("-number").first()
    made = StageLadder.objects.create(
        team=team,
        number=(before.number if before else 0) + 1,
        stages=[dict(stage) for stage in stages],
        reason=reason,
        created_by=actor.key,
    )
    made.refresh_from_db(fields=["created_at"])
    was = before.stages if before else None
    _record(actor, "ladder.set", made, before=was, after=made.stages, reason=reason)
    return made


def _ladder(stages: Sequence[Mapping[str, str]]) -> Ladder | None:
    if not stages:
        return None
    if len(stages) > MOST_RUNGS:
        raise Invalid(f"takes up to {MOST_RUNGS} stages", field="stages")
    try:
        return Ladder(
            tuple(Rung(one["key"], one["title"], Allowance(one["allowance"])) for one in stages)
        )
    except BadLadder as error:
        raise Invalid(str(error), field=error.path) from error


def _require_kept(team: Team | None, wanted: Ladder | None) -> None:
    """Versions that stand somewhere must find their stage in the new ladder, and its allowance."""
    new = wanted or ladder_of(None)
    versions = ModelVersion.objects.exclude(stage__in=["dev", *OFF_LADDER])
    if team is not None:
        versions = versions.filter(model__team=team)
    else:
        own = [row.team_id for row in StageLadder.objects.exclude(team=None) if row.stages]
        versions = versions.exclude(model__team__in=own)
    held = versions.order_by().values_list("stage", "allowance").distinct()
    for stage, allows in held:
        rung = new.rung(stage)
        if rung is None or rung.allowance != allows:
            said = f"versions stand in {stage}, which allows them {allows} traffic"
            raise StageInUse(f"{said}: archive them first, or keep the stage", field="stages")


def _one_at_a_time(what: str, team: Team | None) -> None:
    """Editions of one scope are numbered one after the other, also when two come at once."""
    with connection.cursor() as cursor:
        key = f"{what}:{team.pk if team else '*'}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


@transaction.atomic
def set_policy(
    *,
    actor: Principal,
    team: Team | None,
    stage: str,
    tier: str = "",
    rules: Mapping[str, Any] | None,
    reason: str,
) -> PromotionPolicy:
    """Say what promotion into `stage` needs, for models of one tier or of each; null takes it back.

    Requests that wait are void when somebody next wants to sign them: they are asked again under
    the new rules. Raises PermissionDenied or Invalid.
    """
    _authorise(actor, team)
    _require_reason(reason)
    if stage not in ladder_of(team).targets:
        raise Invalid("is no stage that one is promoted into", field="stage")
    if tier and tier not in set(Tier):
        raise Invalid("must be critical, standard or empty", field="tier")
    policy = _policy(rules) if rules is not None else None
    _one_at_a_time("policy", team)
    rows = PromotionPolicy.objects.filter(team=team, stage=stage, tier=tier)
    before = rows.order_by("-number").first()
    made = PromotionPolicy.objects.create(
        team=team,
        stage=stage,
        tier=tier,
        number=(rows.aggregate(last=Max("number"))["last"] or 0) + 1,
        rules=None if policy is None else dict(rules or {}),
        reason=reason,
        created_by=actor.key,
    )
    made.refresh_from_db(fields=["created_at"])
    was = before.rules if before else None
    _record(actor, "policy.set", made, before=was, after=made.rules, reason=reason)
    return made


def _policy(rules: Mapping[str, Any]) -> Policy:
    try:
        policy = read_policy(rules)
    except BadPolicy as error:
        raise Invalid(str(error), field=f"rules.{error.path}") from error
    known = {EXAMINATION, *(check.name for check in checks.registered()), *TITLES}
    for name in policy.checks:
        if name not in known and not (name.startswith(PREFIX) and hook_of(name)):
            raise Invalid(f"there is no check {name!r}", field=f"rules.checks.{name}")
    return policy


@transaction.atomic
def add_freeze(
    *,
    actor: Principal,
    team: Team | None,
    title: str,
    window: Mapping[str, Any],
    zone: str,
    reason: str,
    stage: str = "",
    tier: str = "",
) -> FreezeWindow:
    """Freeze promotions every week or once. Raises PermissionDenied or Invalid."""
    _authorise(actor, team)
    _require_reason(reason)
    if not title.strip():
        raise Invalid("give it a title", field="title")
    if stage and stage not in ladder_of(team).targets:
        raise Invalid("is no stage that one is promoted into", field="stage")
    if tier and tier not in set(Tier):
        raise Invalid("must be critical, standard or empty", field="tier")
    try:
        zone_of(zone)
        read_window(dict(window))
    except BadWindow as error:
        raise Invalid(str(error), field=error.path) from error
    made = FreezeWindow.objects.create(
        team=team,
        stage=stage,
        tier=tier,
        title=title,
        window=dict(window),
        zone=zone,
        reason=reason,
        created_by=actor.key,
    )
    made.refresh_from_db(fields=["created_at"])
    after = {"title": title, "window": made.window, "zone": zone, "stage": stage, "tier": tier}
    _record(actor, "freeze.added", made, after=after, reason=reason)
    return made


@transaction.atomic
def cancel_freeze(*, actor: Principal, freeze: FreezeWindow, reason: str) -> FreezeWindow:
    """End a freeze before its time; it stays in the list. Raises PermissionDenied or Conflict."""
    _authorise(actor, freeze.team)
    _require_reason(reason)
    changes = {
        "cancelled_at": timezone.now(),
        "cancelled_by": actor.key,
        "cancel_reason": reason,
    }
    if not FreezeWindow.objects.filter(pk=freeze.pk, cancelled_at=None).update(**changes):
        raise Conflict("this freeze is cancelled already")
    freeze.refresh_from_db()
    _record(actor, "freeze.cancelled", freeze, before={"title": freeze.title}, reason=reason)
    return freeze


@transaction.atomic
def add_check_hook(
    *,
    actor: Principal,
    team: Team | None,
    name: str,
    title: str,
    url: str,
    timeout_s: float = 10.0,
    attempts: int = 3,
    callback_h: float = 24.0,
) -> tuple[CheckHook, str]:
    """Let a service check versions; its signing secret is returned this once.

    Raises PermissionDenied, Invalid (Refused for an address that may not be called) or
    AlreadyExists.
    """
    _authorise(actor, team)
    if not re.fullmatch(HOOK_NAME, name):
        raise Invalid("takes small letters, digits and dashes", field="name")
    outbound.check(url)
    if CheckHook.objects.filter(name=name).exists():
        raise AlreadyExists(f"there is a check hook {name!r} already", field="name")
    secret = new_secret()
    made = CheckHook.objects.create(
        name=name,
        team=team,
        title=title or name,
        url=url,
        secret=seal(secret),
        timeout_s=timeout_s,
        attempts=attempts,
        callback_h=callback_h,
        created_by=actor.key,
    )
    made.refresh_from_db(fields=["created_at"])
    _record(actor, "check_hook.added", made, after={"url": url, "title": made.title})
    return made, secret


@transaction.atomic
def disable_check_hook(*, actor: Principal, hook: CheckHook, reason: str) -> CheckHook:
    """Call a service no more; policies that need it cannot be met until they are changed.

    Raises PermissionDenied, Invalid or Conflict.
    """
    _authorise(actor, hook.team)
    _require_reason(reason)
    mine = CheckHook.objects.filter(pk=hook.pk, disabled_at=None)
    if not mine.update(disabled_at=timezone.now()):
        raise Conflict(f"{hook.name} is disabled already")
    hook.refresh_from_db()
    _record(actor, "check_hook.disabled", hook, reason=reason)
    return hook
