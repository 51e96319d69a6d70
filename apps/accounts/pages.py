"""The guard of every HTML page, and the reason that every form gives."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.accounts.access import Permission, authorise_anywhere
from apps.accounts.api.base import REASON_LENGTH
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def reason_of(request: HttpRequest) -> str:
    """Why, as the form says it. Raises Invalid where it says nothing, or far too much."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise Invalid("say why: a colleague will read this later", field="reason")
    if len(reason) > REASON_LENGTH:
        raise Invalid(f"takes at most {REASON_LENGTH:,} characters", field="reason")
    return reason


def page(permission: Permission) -> Callable[[View[P]], View[P]]:
    """Require a signed-in person who holds `permission` in some team.

    What a particular object needs in its own team is asked again by the service that writes.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            authorise_anywhere(principal_of(request), permission)
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]  # read by the route test
        return cast(View[P], login_required(guarded))

    return decorate
