"""Pages: one's own password, one-time codes, sessions and tokens."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.contrib.auth import authenticate, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import identities, oidc, services
from apps.accounts.access import Permission
from apps.accounts.agents import browser_words
from apps.accounts.errors import NotSignedIn, TooManyAttempts
from apps.accounts.models import Session, Token, User
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import of_user, principal_of
from apps.accounts.second_factor import WRONG, new_secret, state_of
from apps.accounts.sessions import SessionStore, live_sessions
from apps.accounts.step_up import confirm_by_code, confirm_by_password, fresh, is_fresh
from apps.accounts.views.tokens import LIVES, OVERLAPS, scope_choices, token_rows
from apps.events.errors import Invalid

CHANGE = "accounts/password.html"
CONFIRM = "accounts/confirm.html"
CODES = "accounts/codes.html"
SECRET = "codes_secret"  # noqa: S105  # the session's key for it
LONGEST_LIST = 50


class PasswordForm(PasswordChangeForm):
    """The current password and a new one, twice."""

    error_messages = {
        "password_mismatch": "The two new passwords are not the same.",
        "password_incorrect": "This is not your current password.",
    }

    def __init__(self, *, request: HttpRequest, user: User, data: QueryDict | None = None) -> None:
        super().__init__(user, data)
        self.request = request
        self.fields["old_password"].label = "Current password"
        self.fields["new_password2"].label = "New password, again"

    def clean_old_password(self) -> str:
        """Ask as sign-in does, so that guesses are counted and locked out likewise (axes)."""
        given: str = self.cleaned_data["old_password"]
        name = self.user.get_username()
        if authenticate(self.request, username=name, password=given) is None:
            raise ValidationError(self.error_messages["password_incorrect"])
        return given


class PasswordView(PasswordChangeView):
    """Change one's own password; other sessions end, this one goes on."""

    template_name = CHANGE
    form_class = PasswordForm
    success_url = reverse_lazy("home")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form asks for the current password in the name of this request."""
        data = self.request.POST if self.request.method == "POST" else None
        return {"request": self.request, "user": self.request.user, "data": data}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Keep it, note it in the log, and stay signed in under a new key."""
        user = form.user
        services.set_password(
            actor=of_user(user), user=user, password=form.cleaned_data["new_password1"]
        )
        update_session_auth_hash(self.request, user)
        messages.success(self.request, "Password changed. Your other sessions are signed out.")
        return redirect(self.success_url)


password = page(Permission.VIEW)(PasswordView.as_view())


@page(Permission.VIEW)
def admin_password(request: HttpRequest) -> HttpResponse:
    """Django's admin changes no password past the log: ours does."""
    return redirect("password")


@dataclass(frozen=True)
class Window:
    """A browser in which somebody is signed in."""

    session: Session
    address: str
    agent: str
    browser: str
    is_this: bool


@never_cache
@require_GET
@page(Permission.VIEW)
def security(request: HttpRequest) -> HttpResponse:
    """How one signs in, where one is signed in, and the tokens that speak for one."""
    user = person(request)
    principal = principal_of(request)
    context = {
        "fresh": is_fresh(request),
        "confirm_href": _confirm_address("security"),
        "codes": state_of(user),
        "lacks_codes": principal.lacks_codes,
        "has_password": user.has_usable_password(),
        "oidc": oidc.configured(),
        "provider_id": oidc.PROVIDER,
        "identity": SocialAccount.objects.filter(user=user).first(),
        "windows": list(_windows(request, user)),
        "tokens": token_rows(Token.objects.filter(user=user)),
        "scopes": scope_choices(),
        "lives": LIVES,
        "overlaps": OVERLAPS,
        "issue_to": reverse("my-tokens"),
        "owner_words": "speaks for you",
    }
    return render(request, "accounts/security.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@page(Permission.VIEW)
def confirm(request: HttpRequest) -> HttpResponseBase:
    """Give the password or a code once more; then back to where one was."""
    user = person(request)
    context = confirmation(request, user)
    if request.method == "POST":
        try:
            if _prove(request, user):
                return redirect(context["next"])
        except TooManyAttempts as error:
            return render(request, CONFIRM, context | {"refusal": error.detail}, status=429)
        context["refusal"] = WRONG if "code" in request.POST else "That is not your password."
    return render(request, CONFIRM, context)


def confirmation(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the page that asks again shows: the ways that this person has."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return {
        "next": wanted if ours else reverse("security"),
        "has_password": user.has_usable_password(),
        "has_codes": state_of(user).enabled_at is not None,
        "oidc": oidc.configured(),
        "provider_id": oidc.PROVIDER,
    }


def _prove(request: HttpRequest, user: User) -> bool:
    if "code" in request.POST:
        return confirm_by_code(request, user, request.POST["code"])
    return confirm_by_password(request, user, request.POST.get("password", ""))


@never_cache
@require_http_methods(["GET", "POST"])
@page(Permission.VIEW)
@fresh
def codes(request: HttpRequest) -> HttpResponseBase:
    """Set up one-time codes: scan the picture, give the first code, keep the recovery codes."""
    user = person(request)
    secret: str = request.session.setdefault(SECRET, new_secret())
    refusal = ""
    if request.method == "POST":
        try:
            spare = services.enable_codes(
                actor=principal_of(request),
                user=user,
                secret=secret,
                code=request.POST.get("code", ""),
            )
        except Invalid as error:
            refusal = error.detail.capitalize()
        else:
            del request.session[SECRET]
            request.session.cycle_key()
            return _show_recovery_codes(request, spare)
    context = {"secret": secret, "picture": _picture(user, secret), "refusal": refusal}
    return render(request, CODES, context)


@never_cache
@require_POST
@page(Permission.VIEW)
@fresh
def codes_off(request: HttpRequest) -> HttpResponseBase:
    """Ask for no code any more."""
    services.disable_codes(
        actor=principal_of(request), user=person(request), reason=reason_of(request)
    )
    messages.success(request, "One-time codes are off.")
    return redirect("security")


@never_cache
@require_POST
@page(Permission.VIEW)
@fresh
def recovery_codes(request: HttpRequest) -> HttpResponseBase:
    """Other recovery codes, shown this once."""
    spare = services.renew_recovery_codes(actor=principal_of(request), user=person(request))
    return _show_recovery_codes(request, spare)


@require_POST
@page(Permission.VIEW)
def sign_out_elsewhere(request: HttpRequest) -> HttpResponseBase:
    """End every session of one's own but this one."""
    ended = services.end_sessions(
        actor=principal_of(request), user=person(request), keep=request.session.session_key or ""
    )
    messages.success(request, f"Signed out elsewhere: {ended} session{'s' * (ended != 1)} ended.")
    return redirect("security")


@require_POST
@page(Permission.VIEW)
@fresh
def disconnect(request: HttpRequest) -> HttpResponseBase:
    """Sign in with the identity provider no longer."""
    identities.disconnect(
        actor=principal_of(request), user=person(request), reason=reason_of(request)
    )
    return redirect("security")


def person(request: HttpRequest) -> User:
    """Whoever is signed in. Raises NotSignedIn."""
    if not isinstance(request.user, User):
        raise NotSignedIn("sign in first")
    return request.user


def _windows(request: HttpRequest, user: User) -> Iterator[Window]:
    found = live_sessions(now=timezone.now()).filter(user=user).order_by("-seen_at")
    for row in found[:LONGEST_LIST]:
        data = SessionStore().decode(row.session_data)
        yield Window(
            session=row,
            address=data.get("address", ""),
            agent=data.get("agent", ""),
            browser=browser_words(data.get("agent", "")),
            is_this=row.session_key == request.session.session_key,
        )


def _picture(user: User, secret: str) -> str:
    """The QR code of the secret, as a data address."""
    adapter = get_adapter()
    picture = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def _show_recovery_codes(request: HttpRequest, spare: list[str]) -> HttpResponse:
    return render(request, "accounts/recovery_codes.html", {"codes": spare})


def _confirm_address(route: str) -> str:
    return f"{reverse('confirm')}?{urlencode({'next': reverse(route)})}"
