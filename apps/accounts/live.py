"""The guard and the heart-beat of every page that moves."""

import asyncio
from abc import abstractmethod
from contextlib import suppress
from time import monotonic
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from apps.accounts.access import Permission, Principal
from apps.accounts.models import User
from apps.accounts.principals import of_user
from apps.events.errors import DomainError

FORBIDDEN = 4403
NOT_FOUND = 4404
Picture = dict[str, dict[str, Any]]


class LivePage(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """Sends what has changed of a page once a `period` (s), to whoever may see it.

    A subclass gives `picture()`: {"fragments": {element id: html}, "charts": {id: data}}, or None
    when the page will not move again. Only pieces that differ from the last are sent.
    """

    permission: ClassVar[Permission] = Permission.VIEW
    period: ClassVar[float] = 1.0
    # How often (s) an open page asks whether its session still is one.
    recheck: ClassVar[float] = 30.0
    principal: Principal

    @abstractmethod
    def picture(self) -> Picture | None:
        """The page as it is now; runs in a thread, may use the database."""

    async def connect(self) -> None:
        """Accept whoever holds the permission; 4403 closes the socket for good."""
        await self.accept()
        if not await database_sync_to_async(self.may_see)():
            await self.close(code=FORBIDDEN)
            return
        self.beat = asyncio.create_task(self._run())

    async def disconnect(self, code: int) -> None:
        """Stop the heart-beat with the page."""
        beat: asyncio.Task[None] | None = getattr(self, "beat", None)
        if beat is not None:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    def may_see(self) -> bool:
        """Whether the session still is one, of somebody who may see this; uses the database."""
        session = self.scope.get("session")
        known = self.scope.get("user")
        if session is None or not isinstance(known, User) or not session.exists_alive():
            return False
        user = User.objects.filter(pk=known.pk, is_active=True).first()
        if user is None:
            return False
        self.principal = of_user(user)
        return self.principal.can_anywhere(self.permission)

    async def _run(self) -> None:
        sent: Picture = {}
        asked_at = monotonic()
        while True:
            if monotonic() - asked_at > self.recheck:
                asked_at = monotonic()
                if not await database_sync_to_async(self.may_see)():
                    await self.close(code=FORBIDDEN)
                    return
            try:
                picture = await database_sync_to_async(self.picture)()
            except DomainError:
                await self.close(code=NOT_FOUND)
                return
            if picture is None:
                await self.close()
                return
            news = _changes(sent, picture)
            if news:
                await self.send_json(news)
            sent = picture
            await asyncio.sleep(self.period)


def _changes(before: Picture, after: Picture) -> Picture:
    news: Picture = {}
    for part, pieces in after.items():
        old = before.get(part, {})
        changed = {key: piece for key, piece in pieces.items() if old.get(key) != piece}
        if changed:
            news[part] = changed
    return news
