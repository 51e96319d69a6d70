"""The session engine: sessions know their user, and end when idle or old.

Rows of `Session` instead of Django's own, so that people see where they are signed in and end it
everywhere. A row past its limits is not loaded, by pages, REST and websockets alike.
"""

from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import Session

# How coarse `seen_at` is: one write a minute at most, not one a request.
SEEN_EVERY = timedelta(minutes=1)


def live_sessions(*, now: datetime) -> QuerySet[Session]:
    """Sessions within both limits: idle for less than `SESSION_IDLE_S`, younger than the age."""
    return Session.objects.filter(
        expire_date__gt=now,
        seen_at__gt=now - timedelta(seconds=settings.SESSION_IDLE_S),
        created_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
    )


def delete_ended(*, now: datetime) -> int:
    """Remove rows that nobody can use any more; how many."""
    ended = Session.objects.exclude(pk__in=live_sessions(now=now).values("pk"))
    return ended.delete()[0]


class SessionStore(DatabaseStore):
    """Django's database store over `Session`."""

    # When the row that was loaded or made began; a new key begins anew.
    _began: tuple[str | None, datetime] | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table."""
        return Session

    def _get_session_from_db(self) -> Session | None:
        now = timezone.now()
        row = live_sessions(now=now).filter(session_key=self.session_key).first()
        if row is None:
            self._session_key = None
            return None
        self._began = (row.session_key, row.created_at)
        if now - row.seen_at > SEEN_EVERY:
            Session.objects.filter(pk=row.pk).update(seen_at=now)
        return row

    def exists_alive(self) -> bool:
        """Whether this session may still be used, for connections that outlive a request."""
        return live_sessions(now=timezone.now()).filter(session_key=self.session_key).exists()

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row to save; it keeps the moment at which its key was made."""
        now = timezone.now()
        key = self._get_or_create_session_key()  # type: ignore[attr-defined]  # not in the stubs
        if self._began is None or self._began[0] != key:
            self._began = (key, now)
        user = data.get(SESSION_KEY)
        return Session(
            session_key=key,
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=int(user) if user else None,
            created_at=self._began[1],
            seen_at=now,
        )

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        """See create_model_instance."""
        return self.create_model_instance(data)
