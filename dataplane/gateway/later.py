"""Requests that are answered by a coroutine: one that fails costs its request alone."""

import asyncio
from collections.abc import Coroutine

import structlog

from dataplane.gateway.http import Exchange
from dataplane.gateway.problems import Refusal
from dataplane.gateway.respond import Refuse, refuse

log = structlog.get_logger()


class Later:
    """Keeps the coroutines that still owe an answer."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(
        self, exchange: Exchange, work: Coroutine[None, None, None], refuse: Refuse = refuse
    ) -> None:
        """Run `work`, which answers the exchange; what it raises is answered with `refuse`."""
        task = asyncio.get_running_loop().create_task(_guarded(exchange, work, refuse))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _guarded(exchange: Exchange, work: Coroutine[None, None, None], refuse: Refuse) -> None:
    try:
        await work
    except Refusal as refusal:
        refuse(exchange, refusal)
    except Exception:  # the last line of defence: one request fails, the process lives
        log.exception("request.failed", path=exchange.path[:64])
        refuse(exchange, Refusal(500, "internal", "the gateway failed on this request"))
