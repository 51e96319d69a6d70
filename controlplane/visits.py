"""When somebody was here last: a visit goes on while no more than half an hour passes in it."""

from datetime import datetime, timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.utils.dateparse import parse_datetime

PAUSE = timedelta(minutes=30)
STEP = timedelta(minutes=1)
SEEN, BEFORE = "home_seen_at", "home_before_at"


def last_visit(session: SessionBase, *, now: datetime) -> datetime | None:
    """The end of the visit before this one, None on the first; notes that the visitor is here."""
    seen = _moment(session.get(SEEN))
    if seen is not None and now - seen > PAUSE:
        session[BEFORE] = seen.isoformat()
    # Not at every look: a session that changes is written to the database.
    if seen is None or now - seen > STEP:
        session[SEEN] = now.isoformat()
    return _moment(session.get(BEFORE))


def _moment(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None
