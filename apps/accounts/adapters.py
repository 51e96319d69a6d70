"""What django-allauth asks us: how sessions open, whom a provider lets in, where secrets lie."""

import base64
import hashlib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from cryptography.fernet import Fernet
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.accounts import identities, oidc, services
from apps.accounts.errors import NotSignedIn
from apps.accounts.models import User
from apps.accounts.principals import of_user
from apps.events.errors import DomainError

SIGN_IN = "accounts/sign_in.html"
PASSWORDS = "django.contrib.auth.backends.ModelBackend"
LONGEST_AGENT = 300
# What the log calls the ways in.
WAYS = {"password": "password", "mfa": "one-time code", "socialaccount": "oidc"}


def refused(request: HttpRequest, words: str) -> HttpResponse:
    """The sign-in page with what went wrong."""
    return render(request, SIGN_IN, {"refusal": words, "oidc": oidc.configured()}, status=403)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # has no types
    """Opens sessions, by whatever way somebody came."""

    def login(self, request: HttpRequest, user: User) -> None:
        """Open the session under a new key and note it in the log."""
        ways = get_authentication_records(request, user)
        user.backend = PASSWORDS
        super().login(request, user)
        request.session["address"] = request.META.get("REMOTE_ADDR", "")
        request.session["agent"] = request.headers.get("User-Agent", "")[:LONGEST_AGENT]
        named = [WAYS.get(way["method"], way["method"]) for way in ways]
        services.record_sign_in(actor=of_user(user), ways=named)

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Refuse whoever was deactivated."""
        return refused(request, "This account is deactivated.")

    def add_message(self, *_: Any, **__: Any) -> None:
        """Pages say what happened in words of their own."""

    def send_notification_mail(self, *_: Any, **__: Any) -> None:
        """Changes of credentials are events, which notices are made from."""


class CodeAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # has no types
    """Keeps the secrets of one-time codes encrypted under the process's secret key."""

    def encrypt(self, text: str) -> str:
        """Fernet: AES-128-CBC with HMAC-SHA256."""
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Undo `encrypt`. Raises cryptography.fernet.InvalidToken under another secret key."""
        return _fernet().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: User) -> str:
        """What an authenticator app calls the account."""
        return user.get_username()


class IdentityAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # has no types
    """Lets people of the configured provider in, and gives them the roles of their groups."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The one provider of the settings, if there is one; nothing is read from the database."""
        app = oidc.application()
        fits = app is not None and provider in (None, app.provider, app.provider_id)
        return [app] if app is not None and fits and client_id in (None, app.client_id) else []

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse whom the settings do not let in; make or refresh the others."""
        claims = oidc.Claims.of(sociallogin.account.extra_data)
        # Addresses are the provider's to keep; ours are nobody's proof of anything.
        sociallogin.email_addresses = []
        try:
            claims.require_allowed()
            if sociallogin.state.get("process") == "connect":
                self._connect(request, sociallogin)
            self._admit(sociallogin, claims)
        except DomainError as error:
            raise ImmediateHttpResponse(refused(request, error.detail)) from error

    def _connect(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        user = request.user
        if not isinstance(user, User):
            raise NotSignedIn("sign in first, then connect")
        identities.connect(actor=of_user(user), user=user, account=sociallogin.account)
        raise ImmediateHttpResponse(redirect("security"))

    def _admit(self, sociallogin: SocialLogin, claims: oidc.Claims) -> None:
        if not sociallogin.is_existing:
            sociallogin.user = identities.provision(claims=claims)
            sociallogin.account.user = sociallogin.user
            sociallogin.account.save()
        identities.apply_groups(user=sociallogin.user, groups=claims.groups)

    def on_authentication_error(self, request: HttpRequest, provider: Any, **context: Any) -> None:
        """The provider, or the way back from it, failed: say so on the sign-in page."""
        oidc.note_failure(context.get("error"), context.get("exception"))
        words = f"Signing in with {provider.app.name} did not work. Try again."
        raise ImmediateHttpResponse(refused(request, words))


def _fernet() -> Fernet:
    key = hashlib.sha256(b"one-time codes:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
