"""Pages of what promotions need: stages, policies and freezes, their editions and changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.access import Permission
from apps.accounts.models import Team
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid, NotFound
from apps.registry.freezes import Weekly
from apps.registry.models import FreezeWindow, PromotionPolicy, StageLadder, Tier
from apps.registry.policy import Policy, default_policy
from apps.registry.promotion import DEFAULT_LADDER, Rung
from apps.registry.services.governing import add_freeze, cancel_freeze, set_policy
from apps.registry.terms import ladder_of

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LISTED = 200
BUILT_IN = "built in"


@dataclass(frozen=True)
class Rules:
    """A policy as the page shows it; `row` is None for one that is built in."""

    stage: str
    tier: str
    scope: str
    team_key: str
    policy: Policy
    row: PromotionPolicy | None

    @property
    def required(self) -> list[str]:
        """Checks that have to pass, in words."""
        return _checks(self.policy, required=True)

    @property
    def shown(self) -> list[str]:
        """Checks that are only shown, in words."""
        return _checks(self.policy, required=False)


def _checks(policy: Policy, *, required: bool) -> list[str]:
    found = (name for name, rule in policy.checks.items() if rule.required is required)
    return sorted(name.replace("_", " ") for name in found)


@require_GET
@page(Permission.VIEW)
def policies(request: HttpRequest) -> HttpResponse:
    """Every policy in force, the stages of each team, and when nothing is approved."""
    now = timezone.now()
    freezes = list(FreezeWindow.objects.select_related("team")[:LISTED])
    context = {
        "rules": [*_written(), *_built_in()],
        "ladders": _ladders(),
        "freezes": [
            (one, window_words(one), one.until(now)) for one in freezes if not one.cancelled_at
        ],
        "cancelled": [(one, window_words(one)) for one in freezes if one.cancelled_at],
        "can_edit": principal_of(request).can_anywhere(Permission.ADMINISTER),
    }
    return render(request, "registry/policies.html", context)


def _written() -> Iterable[Rules]:
    rows = PromotionPolicy.objects.newest().select_related("team")
    for row in rows:
        policy = row.policy()
        if policy is not None:
            team = row.team
            scope, key = (f"team {team.name}", team.key) if team else ("every team", "")
            yield Rules(row.stage, row.tier or "every tier", scope, key, policy, row)


def _built_in() -> Iterable[Rules]:
    for rung in DEFAULT_LADDER.rungs[1:]:
        top = rung.key == DEFAULT_LADDER.top
        for tier in Tier if top else [Tier.STANDARD]:
            policy = default_policy(tier=tier.value, top=top)
            named = tier.value if top else "every tier"
            yield Rules(rung.key, named, BUILT_IN, "", policy, None)


def _ladders() -> list[tuple[str, tuple[Rung, ...]]]:
    newest = StageLadder.objects.order_by("team_id", "-number").distinct("team_id")
    rows = newest.select_related("team")
    own = [(row.team, row.ladder()) for row in rows]
    written = [(str(team or "every other team"), found.rungs) for team, found in own if found]
    if any(team is None and found for team, found in own):
        return written
    return [*written, ("every other team", DEFAULT_LADDER.rungs)]


def window_words(freeze: FreezeWindow) -> str:
    """When a freeze holds, in words."""
    window = freeze.typed()
    if isinstance(window, Weekly):
        days = ", ".join(DAYS[day] for day in window.days)
        return f"every {days}, {window.start} to {window.end}, {freeze.zone}"
    return f"{window.start:%d %b %Y %H:%M} to {window.end:%d %b %Y %H:%M}, {freeze.zone}"


@require_http_methods(["GET", "POST"])
@page(Permission.ADMINISTER)
def set_rules(request: HttpRequest) -> HttpResponse:
    """Write an edition of a policy, or take the policy away; the editions before it."""
    given = request.POST if request.method == "POST" else request.GET
    team, stage, tier = _team(given), given.get("stage", ""), given.get("tier", "")
    if request.method == "POST":
        made = set_policy(
            actor=principal_of(request),
            team=team,
            stage=stage,
            tier=tier,
            rules=None if "remove" in given else _rules(given),
            reason=reason_of(request),
        )
        messages.success(request, f"Edition {made.number} is in force.")
        return redirect("policy-list")
    ladder = ladder_of(team)
    stage = stage if stage in ladder.targets else ladder.top
    editions = PromotionPolicy.objects.filter(team=team, stage=stage, tier=tier)
    newest = editions.order_by("-number").first()
    known = newest.policy() if newest else None
    policy = known or default_policy(tier=tier or Tier.STANDARD.value, top=stage == ladder.top)
    context = {
        "team": team,
        "teams": Team.objects.all(),
        "stage": stage,
        "stages": ladder.targets,
        "tier": tier,
        "tiers": list(Tier),
        "written": known is not None,
        "rules": msgspec.json.format(msgspec.json.encode(policy), indent=2).decode(),
        "editions": editions.order_by("-number")[:LISTED],
    }
    return render(request, "registry/policy_set.html", context)


def _team(given: QueryDict) -> Team | None:
    key = given.get("team", "")
    found = Team.objects.filter(key=key).first() if key else None
    if key and found is None:
        raise Invalid(f"there is no team {key!r}", field="team")
    return found


def _rules(given: QueryDict) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(given.get("rules", "").encode())
    except msgspec.DecodeError as error:
        raise Invalid(f"is no JSON: {error}", field="rules") from error
    if not isinstance(found, dict):
        raise Invalid("is no object of rules", field="rules")
    return found


@require_http_methods(["GET", "POST"])
@page(Permission.ADMINISTER)
def freeze_add(request: HttpRequest) -> HttpResponse:
    """Freeze promotions, every week or once."""
    if request.method == "POST":
        given = request.POST
        made = add_freeze(
            actor=principal_of(request),
            team=_team(given),
            title=given.get("title", "").strip(),
            window=_window(given),
            zone=given.get("zone", "UTC").strip(),
            stage=given.get("stage", ""),
            tier=given.get("tier", ""),
            reason=reason_of(request),
        )
        messages.success(request, f"{made.title}: kept.")
        return redirect("policy-list")
    context = {
        "teams": Team.objects.all(),
        "stages": ladder_of(None).targets,
        "tiers": list(Tier),
        "days": list(enumerate(DAYS)),
    }
    return render(request, "registry/freeze_add.html", context)


def _window(given: QueryDict) -> dict[str, Any]:
    if given.get("kind") == "weekly":
        days = [int(day) for day in given.getlist("days") if day.isdecimal()]
        start, end = given.get("start", ""), given.get("end", "")
        return {"type": "weekly", "days": days, "start": start, "end": end}
    return {"type": "span", "start": _moment(given, "since"), "end": _moment(given, "until")}


def _moment(given: QueryDict, name: str) -> str:
    """A moment of a form, on the clock of the freeze's zone. Raises Invalid."""
    text = given.get(name, "")
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError as error:
        raise Invalid("takes a day and a time", field=name) from error


@require_POST
@page(Permission.ADMINISTER)
def freeze_cancel(request: HttpRequest, freeze_id: int) -> HttpResponse:
    """End a freeze before its time."""
    found = FreezeWindow.objects.select_related("team").filter(pk=freeze_id).first()
    if found is None:
        raise NotFound(f"there is no freeze {freeze_id}")
    cancel_freeze(actor=principal_of(request), freeze=found, reason=reason_of(request))
    messages.success(request, f"{found.title}: cancelled.")
    return redirect("policy-list")
