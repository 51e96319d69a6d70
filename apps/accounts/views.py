"""Pages: signing in and out, and the audit trail."""

from urllib.parse import urlencode

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
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


class SignInForm(AuthenticationForm):
    """User name and password; says nothing about which of the two was wrong."""

    error_messages = {
        "invalid_login": "That user name and password do not go together.",
        "inactive": "This account is deactivated.",
    }


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


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """What axes answers after too many failures: the sign-in page, with the reason."""
    form = SignInForm(request, data={"username": request.POST.get("username", "")})
    form.full_clean()
    form.errors.clear()
    form.add_error(None, "Too many failed attempts. Wait a quarter of an hour and try again.")
    return render(request, SIGN_IN, {"form": form, "next": ""}, status=429)


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
