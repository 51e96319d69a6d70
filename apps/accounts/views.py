"""Pages: signing in and out, one's password, and the audit trail."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth import authenticate, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts import services
from apps.accounts.access import Permission
from apps.accounts.errors import PermissionDenied
from apps.accounts.keyset import keyset
from apps.accounts.models import User
from apps.accounts.pages import page
from apps.accounts.principals import of_user, principal_of
from apps.events.models import ChainedEvent, Event

SIGN_IN = "accounts/sign_in.html"
CHANGE = "accounts/password.html"
LONGEST_NAME = 150
TOO_MANY = "Too many failed attempts. Wait a quarter of an hour and try again."


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


@method_decorator(never_cache, name="dispatch")
class SignInView(LoginView):
    """Sign in with a password; repeated failures lock the name out for a while (axes)."""

    template_name = SIGN_IN
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Open the session and note it in the log."""
        response = super().form_valid(form)
        user = form.get_user()
        if isinstance(user, User):
            services.record_sign_in(actor=of_user(user))
        return response


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Django's admin has no sign-in of its own: ours, or a refusal for whoever is not staff."""
    if request.user.is_authenticated:
        raise PermissionDenied("the admin is for administrators of a team")
    query = urlencode({"next": reverse("admin:index")})
    return redirect(f"{reverse('sign-in')}?{query}")


class SignOutView(LogoutView):
    """Ends the session (POST)."""


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
        """Keep it, note it in the log, and stay signed in."""
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


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """What axes answers after too many failures: the page that was asked for, with the reason."""
    if isinstance(request.user, User):
        form = PasswordForm(request=request, user=request.user)
        return render(request, CHANGE, {"form": form, "refusal": TOO_MANY}, status=429)
    sign_in = SignInForm(request, data={"username": request.POST.get("username", "")})
    sign_in.full_clean()
    sign_in.errors.clear()
    sign_in.add_error(None, TOO_MANY)
    return render(request, SIGN_IN, {"form": sign_in, "next": ""}, status=429)


@require_GET
@page(Permission.VIEW)
def audit(request: HttpRequest) -> HttpResponse:
    """Every event that the reader may see, newest first, filtered by object, verb and actor."""
    query = request.GET
    found = Event.objects.visible_to(principal_of(request)).matching(
        object_key=query.get("object", "").strip(),
        verb=query.get("verb", "").strip(),
        actor_key=query.get("actor", "").strip(),
    )
    filters = query.copy()
    filters.pop("before", None)
    context = {
        "page": keyset(request, found),
        "chain_words": _chain_words(),
        "csv_href": f"{reverse('api-events-export')}?{filters.urlencode()}",
    }
    return render(request, "events/audit.html", context)


def _chain_words() -> str:
    last = ChainedEvent.objects.order_by("-seq").first()
    if last is None:
        return "No event is chained yet."
    return f"{last.seq:,} events in the hash chain, head {bytes(last.digest).hex()[:12]}."
