"""Pages of teams, their members, and people."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import services
from apps.accounts.access import HUMAN_ROLES, Permission, Role
from apps.accounts.keyset import keyset
from apps.accounts.models import Membership, ServiceAccount, Team, Token, User
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.accounts.second_factor import state_of
from apps.accounts.selectors import get_role, get_team, get_user, roles_by_person
from apps.accounts.views.tokens import token_rows
from apps.events.errors import NotFound
from apps.events.models import Event

TIMELINE = 20
ROLES = [role.value for role in Role if role in HUMAN_ROLES]


@require_GET
@page(Permission.VIEW)
def team_list(request: HttpRequest) -> HttpResponse:
    """Every team, with how many people and programs it has."""
    teams = Team.objects.annotate(
        people=Count("memberships__user", distinct=True),
        programs=Count("service_accounts", distinct=True),
    )
    context = {
        "page": keyset(request, teams),
        "may_add": principal_of(request).can_anywhere(Permission.ADMINISTER),
    }
    return render(request, "accounts/team_list.html", context)


@require_POST
@page(Permission.ADMINISTER)
def team_add(request: HttpRequest) -> HttpResponseBase:
    """Make a team; whoever does is its first administrator."""
    team = services.create_team(
        actor=principal_of(request),
        key=request.POST.get("key", "").strip(),
        name=request.POST.get("name", "").strip(),
    )
    return redirect("team", team.key)


@require_GET
@page(Permission.VIEW)
def team(request: HttpRequest, key: str) -> HttpResponse:
    """Who is what in a team, and its programs."""
    found = get_team(key)
    principal = principal_of(request)
    memberships = Membership.objects.filter(team=found).select_related("user")
    programs = ServiceAccount.objects.filter(team=found).select_related("responsible")
    context = {
        "team": found,
        "members": roles_by_person(memberships),
        "programs": programs,
        "roles": ROLES,
        "may_administer": principal.can(Permission.ADMINISTER, found.key),
        "needs_codes": principal.lacks_only_codes(Permission.ADMINISTER, found.key),
        "events": Event.objects.visible_to(principal).filter(
            Q(object_key=f"team:{found.key}")
            | Q(team_key=found.key, verb__startswith="membership.")
        )[:TIMELINE],
    }
    return render(request, "accounts/team.html", context)


@require_POST
@page(Permission.ADMINISTER)
def member_add(request: HttpRequest, key: str) -> HttpResponseBase:
    """Give a person a role in the team."""
    role = get_role(request.POST.get("role", ""))
    user = get_user(request.POST.get("username", "").strip())
    services.add_member(
        actor=principal_of(request),
        user=user,
        team=get_team(key),
        role=role,
        reason=reason_of(request),
    )
    messages.success(request, f"{user.username} is {role} now.")
    return redirect("team", key)


@require_POST
@page(Permission.ADMINISTER)
def member_remove(request: HttpRequest, key: str) -> HttpResponseBase:
    """Take a role in the team from a person."""
    role = get_role(request.POST.get("role", ""))
    user = get_user(request.POST.get("username", ""))
    services.remove_member(
        actor=principal_of(request),
        user=user,
        team=get_team(key),
        role=role,
        reason=reason_of(request),
    )
    messages.success(request, f"{user.username} is {role} no longer.")
    return redirect("team", key)


@require_GET
@page(Permission.VIEW)
def person_list(request: HttpRequest) -> HttpResponse:
    """Everybody, the newest first; `q` narrows to names and addresses that hold it."""
    query = request.GET.get("q", "").strip()
    people = User.objects.prefetch_related("memberships__team")
    if query:
        people = people.filter(
            Q(username__icontains=query)
            | Q(first_name__icontains=query)
            | Q(last_name__icontains=query)
            | Q(email__icontains=query)
        )
    context = {
        "page": keyset(request, people),
        "query": query,
        "may_add": principal_of(request).can_anywhere(Permission.ADMINISTER),
    }
    return render(request, "accounts/person_list.html", context)


@require_POST
@page(Permission.ADMINISTER)
def person_add(request: HttpRequest) -> HttpResponseBase:
    """Add a person with a first password, which they change."""
    given = {name: request.POST.get(name, "").strip() for name in ("username", "email")}
    names = {name: request.POST.get(name, "").strip() for name in ("first_name", "last_name")}
    password = request.POST.get("password", "")
    user = services.create_user(actor=principal_of(request), password=password, **given, **names)
    return redirect("person", user.username)


@require_GET
@page(Permission.VIEW)
def person(request: HttpRequest, username: str) -> HttpResponse:
    """Somebody's roles, and the programs they answer for; administrators see and do more."""
    found = get_user(username)
    principal = principal_of(request)
    may_administer = principal.can_anywhere(Permission.ADMINISTER)
    context: dict[str, Any] = {
        "person": found,
        "memberships": found.memberships.select_related("team").order_by("team__key", "role"),
        "programs": ServiceAccount.objects.filter(responsible=found).select_related("team"),
        "may_administer": may_administer,
        "is_me": principal.user_id == found.pk,
        "events": Event.objects.visible_to(principal).filter(object_key=found.key)[:TIMELINE],
    }
    if may_administer:
        context["codes"] = state_of(found)
        context["session_count"] = found.sessions.count()
        context["tokens"] = token_rows(Token.objects.filter(user=found))
    return render(request, "accounts/person.html", context)


@require_POST
@page(Permission.ADMINISTER)
def person_act(request: HttpRequest, username: str, act: str) -> HttpResponseBase:
    """Deactivate or activate somebody, sign them out, or take lost one-time codes off."""
    service = ACTS.get(act)
    if service is None:
        raise NotFound(f"nobody can {act} a person")
    user = get_user(username)
    service(actor=principal_of(request), user=user, reason=reason_of(request))
    messages.success(request, "Done.")
    return redirect("person", user.username)


ACTS: Mapping[str, Callable[..., object]] = {
    "deactivate": services.deactivate_user,
    "activate": services.activate_user,
    "sign-out": services.end_sessions,
    "codes-off": services.disable_codes,
}
