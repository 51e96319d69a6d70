"""Tokens on pages: made and replaced, their text shown once, and ended with a reason."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts import services
from apps.accounts.access import Permission
from apps.accounts.credentials import Owner, owner_of
from apps.accounts.models import ServiceAccount, Token
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.accounts.selectors import get_service_account, get_token, get_user
from apps.accounts.step_up import fresh
from apps.events.errors import Invalid

SHOWN = "accounts/token_shown.html"
SOON = timedelta(days=14)
LONGEST_LIST = 100
LIVES = (7, 30, 90, 180, 365)
OVERLAPS = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}


@dataclass(frozen=True)
class TokenRow:
    """A token with its state in a word: live, soon (it expires), expired or revoked."""

    token: Token
    state: str

    @property
    def key(self) -> str:
        """Its number, as ids on a page have it."""
        return str(self.token.pk)

    @property
    def is_live(self) -> bool:
        """Whether it still opens anything."""
        return self.state in ("live", "expires soon")


def token_rows(tokens: QuerySet[Token]) -> list[TokenRow]:
    """The newest tokens, each with its state."""
    return [TokenRow(token, _state(token)) for token in tokens[:LONGEST_LIST]]


def scope_choices() -> list[str]:
    """What a token can be narrowed to."""
    return [permission.value for permission in Permission]


def _state(token: Token) -> str:
    now = timezone.now()
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= now:
        return "expired"
    return "expires soon" if token.expires_at - now < SOON else "live"


@never_cache
@require_POST
@page(Permission.VIEW)
@fresh
def my_tokens(request: HttpRequest) -> HttpResponseBase:
    """Make a token that speaks for whoever is signed in."""
    return _issue(request, get_user(request.user.get_username()))


@never_cache
@require_POST
@page(Permission.VIEW)
@fresh
def program_tokens(request: HttpRequest, name: str) -> HttpResponseBase:
    """Make a token that speaks for a program."""
    return _issue(request, get_service_account(name))


@never_cache
@require_POST
@page(Permission.VIEW)
@fresh
def rotate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Replace a token; the old one goes on for as long as was chosen."""
    token = get_token(pk)
    _, text = services.rotate_token(
        actor=principal_of(request),
        token=token,
        expires_at=_expiry(request),
        overlap=timedelta(seconds=_whole(request, "overlap_s")),
        reason=reason_of(request),
    )
    return _show(request, token.name, text, owner_of(token))


@require_POST
@page(Permission.VIEW)
def revoke(request: HttpRequest, pk: int) -> HttpResponseBase:
    """End a token at once. Asks for no password: who sees a leak must be quick."""
    token = get_token(pk)
    services.revoke_token(actor=principal_of(request), token=token, reason=reason_of(request))
    messages.success(request, f"Token {token.prefix}… is revoked.")
    return _back(request, owner_of(token))


def _issue(request: HttpRequest, owner: Owner) -> HttpResponse:
    name = request.POST.get("name", "").strip()
    if not name:
        raise Invalid("give the token a name", field="name")
    _, text = services.issue_token(
        actor=principal_of(request),
        owner=owner,
        name=name[:80],
        scopes=request.POST.getlist("scopes") or None,
        expires_at=_expiry(request),
    )
    return _show(request, name, text, owner)


def _show(request: HttpRequest, name: str, text: str, owner: Owner) -> HttpResponse:
    back = reverse("security")
    if isinstance(owner, ServiceAccount):
        back = reverse("service-account", args=[owner.name])
    return render(request, SHOWN, {"name": name, "text": text, "owner": owner, "back": back})


def _back(request: HttpRequest, owner: Owner) -> HttpResponseBase:
    if isinstance(owner, ServiceAccount):
        return redirect("service-account", owner.name)
    mine = principal_of(request).user_id == owner.pk
    return redirect("security") if mine else redirect("person", owner.username)


def _expiry(request: HttpRequest) -> datetime:
    return timezone.now() + timedelta(days=_whole(request, "days"))


def _whole(request: HttpRequest, field: str) -> int:
    try:
        return int(request.POST.get(field, ""))
    except ValueError as error:
        raise Invalid("is not a whole number", field=field) from error
