"""Giving the password or a code once more, before what a stolen session must not do.

django-allauth keeps in the session when and how somebody proved who they are; signing in counts.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.base.internal.flows import post_authentication
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from apps.accounts.errors import ConfirmationNeeded
from apps.accounts.models import User
from apps.accounts.second_factor import use_code

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session's person proved who they are within STEP_UP_S."""
    if not isinstance(request.user, User):
        return False
    proofs = get_authentication_records(request, request.user)
    newest: float = max((proof["at"] for proof in proofs), default=0.0)
    return time.time() - newest < settings.CONFIG.step_up_s


def require_fresh(request: HttpRequest) -> None:
    """Raise ConfirmationNeeded in a session whose proof is too old. Bearer tokens are no sessions:
    they are their own proof, and make nothing that may do more than themselves."""
    if isinstance(getattr(request, "user", None), User) and not is_fresh(request):
        raise ConfirmationNeeded(
            f"give your password or a code once more at {reverse('confirm')}, then try again"
        )


def fresh(view: View[P]) -> View[P]:
    """Send whoever's proof is too old to the page that asks again, and back afterwards."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if is_fresh(request):
            return view(request, *args, **kwargs)
        # A form that was sent cannot be sent again by us: back to the page that it stands on.
        back = request.path if request.method == "GET" else reverse("security")
        return HttpResponseRedirect(f"{reverse('confirm')}?{urlencode({'next': back})}")

    return cast(View[P], guarded)


def confirm_by_password(request: HttpRequest, user: User, password: str) -> bool:
    """Note the proof if the password is right; wrong ones count like failed sign-ins (axes)."""
    if authenticate(request, username=user.get_username(), password=password) is None:
        return False
    record_authentication(request, user, method="password", reauthenticated=True)
    request.session.cycle_key()
    return True


def confirm_by_code(request: HttpRequest, user: User, code: str) -> bool:
    """Note the proof if the code is right. Raises TooManyAttempts."""
    row = use_code(user=user, code=code)
    if row is None:
        note_wrong_code(request, user)
        return False
    row.user = user
    post_authentication(request, row, reauthenticated=True)
    request.session.cycle_key()
    return True


def note_wrong_code(request: HttpRequest, user: User) -> None:
    """Count a wrong code like a wrong password, for this name from this address (axes)."""
    user_login_failed.send(
        sender=__name__, credentials={"username": user.get_username()}, request=request
    )
