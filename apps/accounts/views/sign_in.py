"""Pages: signing in, by password, one-time code or identity provider, and out."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import requests
from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.stages import AuthenticateStage
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts import oidc, step_up
from apps.accounts.adapters import SIGN_IN, refused
from apps.accounts.errors import PermissionDenied, TooManyAttempts
from apps.accounts.models import User
from apps.accounts.second_factor import WRONG, use_code
from apps.accounts.throttle import TOO_MANY, require_patience
from apps.accounts.views.security import CHANGE, CONFIRM, PasswordForm, confirmation

CODE = "accounts/code.html"
LONGEST_NAME = 150


class SignInForm(AuthenticationForm):
    """User name and password; says nothing about which of the two was wrong."""

    error_messages = {
        "invalid_login": "That user name and password do not go together.",
        "inactive": "This account is deactivated.",
    }

    def clean_username(self) -> str:
        """A name longer than any person's is nobody's; axes could not even note the failure."""
        name: str = self.cleaned_data["username"]
        if len(name) > LONGEST_NAME:
            raise ValidationError(f"A user name has at most {LONGEST_NAME} characters.")
        return name

    def clean(self) -> dict[str, Any]:
        """Ask the database only for addresses that have not guessed too often."""
        try:
            if self.request is not None:
                require_patience(self.request)
        except TooManyAttempts as error:
            raise ValidationError(error.detail) from error
        return super().clean()


@method_decorator(never_cache, name="dispatch")
class SignInView(LoginView):
    """Sign in with a password; repeated failures lock the name out for a while (axes)."""

    template_name = SIGN_IN
    authentication_form = SignInForm
    redirect_authenticated_user = True
    extra_context = {"oidc": ""}

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        """The form, and the provider's button."""
        return super().get_context_data(**more) | {"oidc": oidc.configured()}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Open the session, or ask for a code first; `AccountAdapter.login` does the rest."""
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        answer: HttpResponse = perform_password_login(
            self.request, {"username": user.get_username()}, login
        )
        return answer


@login_stage_required(  # type: ignore[untyped-decorator]  # allauth ships no types
    stage=AuthenticateStage.key, redirect_urlname="sign-in"
)
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponseBase:
    """The second step of signing in: a one-time or a recovery code."""
    stage = request._login_stage  # type: ignore[attr-defined]  # set by allauth's decorator
    context: dict[str, Any] = {"username": stage.login.user.get_username()}
    status = HTTPStatus.OK
    if request.method == "POST":
        try:
            row = use_code(user=stage.login.user, code=request.POST.get("code", ""))
        except TooManyAttempts as error:
            context["refusal"], status = error.detail, HTTPStatus.TOO_MANY_REQUESTS
        else:
            if row is not None:
                row.user = stage.login.user
                post_authentication(request, row)
                answer: HttpResponse = stage.exit()
                return answer
            step_up.note_wrong_code(request, stage.login.user)
            context["refusal"] = WRONG
    return render(request, CODE, context, status=status)


@never_cache
@require_POST
def leave_for_provider(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """To the identity provider, with state and PKCE kept in the session.

    `process=connect` joins the provider's account to whoever is signed in; `again` asks them to
    prove there anew who they are. Not a redirect: our policy lets forms lead nowhere else.
    """
    provider = oidc.provider(request)
    if provider is None or provider_id != oidc.PROVIDER:
        raise Http404
    connecting = request.POST.get("process") == "connect"
    if connecting and not step_up.is_fresh(request):
        return redirect(f"{reverse('confirm')}?{urlencode({'next': reverse('security')})}")
    try:
        answer = provider.redirect(
            request,
            process="connect" if connecting else "login",
            next_url=_safe_next(request),
            auth_params={"prompt": "login"} if request.POST.get("again") else {},
        )
    except (requests.RequestException, ValueError, KeyError) as error:
        oidc.note_failure("away", error)
        return refused(request, f"{oidc.configured()} does not answer. Try again in a minute.")
    context = {"address": answer["Location"], "name": oidc.configured()}
    return render(request, "accounts/leaving.html", context)


@never_cache
@require_safe
def back_from_provider(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Where the provider sends people back to, with a code that we exchange for tokens."""
    if oidc.application() is None or provider_id != oidc.PROVIDER:
        raise Http404
    view = OAuth2CallbackView.adapter_view(oidc.VerifyingAdapter(request, provider_id))
    answer: HttpResponseBase = view(request)
    return answer


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Django's admin has no sign-in of its own: ours, or a refusal for whoever is not staff."""
    if request.user.is_authenticated:
        raise PermissionDenied("the admin is for administrators of a team")
    query = urlencode({"next": reverse("admin:index")})
    return redirect(f"{reverse('sign-in')}?{query}")


class SignOutView(LogoutView):
    """Ends the session (POST)."""


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """What axes answers after too many failures: the page that was asked for, with the reason."""
    status = HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(request.user, User):
        if request.path == reverse("confirm"):
            context = confirmation(request, request.user) | {"refusal": TOO_MANY}
            return render(request, CONFIRM, context, status=status)
        form = PasswordForm(request=request, user=request.user)
        return render(request, CHANGE, {"form": form, "refusal": TOO_MANY}, status=status)
    sign_in = SignInForm(request, data={"username": request.POST.get("username", "")})
    sign_in.full_clean()
    sign_in.errors.clear()
    sign_in.add_error(None, TOO_MANY)
    context = {"form": sign_in, "next": "", "oidc": oidc.configured()}
    return render(request, SIGN_IN, context, status=status)


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else reverse("home")
