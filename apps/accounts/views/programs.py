"""Pages of service accounts: who answers for them, what they may, their tokens."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import services
from apps.accounts.access import GRANTS, SERVICE_ROLES, Permission, Role
from apps.accounts.keyset import keyset
from apps.accounts.models import ServiceAccount, Token
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.accounts.selectors import get_role, get_service_account, get_team, get_user
from apps.accounts.step_up import is_fresh
from apps.accounts.views.tokens import LIVES, OVERLAPS, scope_choices, token_rows
from apps.events.errors import NotFound
from apps.events.models import Event

TIMELINE = 20
ROLES = [role.value for role in Role if role in SERVICE_ROLES]
STATES: Mapping[str, Q] = {
    "orphaned": Q(orphaned_at__isnull=False),
    "disabled": Q(disabled_at__isnull=False),
}


@require_GET
@page(Permission.VIEW)
def program_list(request: HttpRequest) -> HttpResponse:
    """Every program, the newest first, by name, team and state."""
    principal = principal_of(request)
    context = {
        "page": keyset(request, _filtered(request)),
        "teams": principal.teams_with(Permission.ADMINISTER),
        "roles": ROLES,
        "states": list(STATES),
        "username": request.user.get_username(),
    }
    return render(request, "accounts/service_account_list.html", context)


def _filtered(request: HttpRequest) -> QuerySet[ServiceAccount]:
    programs = ServiceAccount.objects.select_related("team", "responsible")
    query, team = (request.GET.get(name, "").strip() for name in ("q", "team"))
    if query:
        programs = programs.filter(name__icontains=query)
    if team:
        programs = programs.filter(team__key=team)
    return programs.filter(STATES.get(request.GET.get("state", ""), Q()))


@require_POST
@page(Permission.ADMINISTER)
def program_add(request: HttpRequest) -> HttpResponseBase:
    """Add a program with a human who answers for it."""
    given = request.POST
    account = services.create_service_account(
        actor=principal_of(request),
        name=given.get("name", "").strip(),
        team=get_team(given.get("team", "")),
        role=get_role(given.get("role", "")),
        responsible=get_user(given.get("responsible", "").strip()),
    )
    return redirect("service-account", account.name)


@require_GET
@page(Permission.VIEW)
def program(request: HttpRequest, name: str) -> HttpResponse:
    """A program, its human, what it may, and its tokens."""
    found = get_service_account(name)
    principal = principal_of(request)
    may_administer = principal.can(Permission.ADMINISTER, found.team.key)
    tokens = token_rows(Token.objects.filter(service_account=found))
    context: dict[str, Any] = {
        "account": found,
        "grants": [one.value for one in Permission if one in GRANTS[Role(found.role)]],
        "may_administer": may_administer,
        "may_make_tokens": may_administer or principal.key == found.responsible.key,
        "fresh": is_fresh(request),
        "confirm_href": f"{reverse('confirm')}?next={reverse('service-account', args=[name])}",
        "tokens": tokens,
        "scopes": scope_choices(),
        "lives": LIVES,
        "overlaps": OVERLAPS,
        "issue_to": reverse("service-account-tokens", args=[name]),
        "owner_words": f"speaks for {found.name}",
        "events": Event.objects.visible_to(principal).filter(
            object_key__in=[found.key, *(row.token.key for row in tokens)]
        )[:TIMELINE],
    }
    return render(request, "accounts/service_account.html", context)


@require_POST
@page(Permission.ADMINISTER)
def program_act(request: HttpRequest, name: str, act: str) -> HttpResponseBase:
    """Disable, enable, or let another human answer for a program."""
    service = ACTS.get(act)
    if service is None:
        raise NotFound(f"nobody can {act} a service account")
    more: dict[str, Any] = {}
    if act == "hand-over":
        more["responsible"] = get_user(request.POST.get("responsible", "").strip())
    service(
        actor=principal_of(request),
        account=get_service_account(name),
        reason=reason_of(request),
        **more,
    )
    messages.success(request, "Done.")
    return redirect("service-account", name)


ACTS: Mapping[str, Callable[..., object]] = {
    "disable": services.disable_service_account,
    "enable": services.enable_service_account,
    "hand-over": services.hand_over_service_account,
}
