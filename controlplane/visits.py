"""When somebody was here last: a visit goes on while no more than half an hour passes in it.

Kept in a signed cookie: a look at the first page writes nothing to the database.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime

COOKIE = "visits"
PAUSE = timedelta(minutes=30)
KEPT = timedelta(days=90)


def last_visit(request: HttpRequest, *, now: datetime) -> datetime | None:
    """The end of the visit before this one; None on the first."""
    before, seen = _read(request)
    return seen if seen is not None and now - seen > PAUSE else before


def note_visit(
    answer: HttpResponse, request: HttpRequest, before: datetime | None, *, now: datetime
) -> None:
    """Have the browser remember that this person was here now, and when before."""
    moments = (_owner(request), before.isoformat() if before else "", now.isoformat())
    answer.set_signed_cookie(
        COOKIE,
        " ".join(moments),
        salt=COOKIE,
        max_age=KEPT,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _read(request: HttpRequest) -> tuple[datetime | None, datetime | None]:
    text = request.get_signed_cookie(COOKIE, default="", salt=COOKIE, max_age=KEPT) or ""
    owner, _, moments = text.partition(" ")
    before, _, seen = moments.partition(" ")
    if owner != _owner(request):  # somebody else's browser, or nobody's yet
        return None, None
    return parse_datetime(before) if before else None, parse_datetime(seen) if seen else None


def _owner(request: HttpRequest) -> str:
    return str(request.user.pk)
