"""The socket that HTTP clients come in by: who is let in, the clock of all, and the end."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from dataplane.gateway.http import Connection, Exchange
from dataplane.gateway.metrics import Family

ACCEPT_S = 0.02
LINGER_S = 0.5

Handler = Callable[[Exchange], None]
Refuse = Callable[[Exchange, int, str], None]


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Sizes in bytes, times in seconds.

    `max_held` bounds what all requests that are not whole yet take together. Of
    `max_connections_per_address` 0 is no bound.
    """

    max_body: int = 1_048_576
    max_head: int = 16_384
    max_headers: int = 64
    max_held: int = 268_435_456
    max_connections: int = 10_000
    max_connections_per_address: int = 0
    max_pipelined: int = 64
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0


class HttpServer:
    """Listens, keeps the set of connections, and drains. `refuse` answers what was not HTTP."""

    def __init__(self, *, handler: Handler, refuse: Refuse, limits: HttpLimits) -> None:
        self.handler = handler
        self.refuse = refuse
        self.limits = limits
        self.draining = False
        self.connections: set[Connection] = set()
        self.held_bytes = 0
        self.turned_away: Counter[str] = Counter()
        self._origins: dict[Connection, str] = {}
        self._from: Counter[str] = Counter()
        self.now = 0.0
        self.date = b""
        self.ok_head = b""
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind and serve; `shared` with other processes. Raises OSError when the port is taken."""
        self._tick()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, backlog=2_048, reuse_port=shared or None
        )

    @property
    def port(self) -> int:
        """The bound port."""
        assert self._server is not None  # noqa: S101 - only called after start
        return int(self._server.sockets[0].getsockname()[1])

    def admit(self, connection: Connection, peer: object) -> bool:
        """Take in a new connection, if there is room for one more and for one more from there."""
        limits = self.limits
        if len(self.connections) >= limits.max_connections:
            self.turned_away["all"] += 1
            return False
        if limits.max_connections_per_address:
            origin = origin_of(peer)
            if self._from[origin] >= limits.max_connections_per_address:
                self.turned_away["address"] += 1
                return False
            self._origins[connection] = origin
            self._from[origin] += 1
        self.connections.add(connection)
        return True

    def dismiss(self, connection: Connection) -> None:
        """A connection ended, which may never have been taken in."""
        self.connections.discard(connection)
        origin = self._origins.pop(connection, None)
        if origin is not None:
            self._from[origin] -= 1
            if not self._from[origin]:
                del self._from[origin]

    def families(self) -> list[Family]:
        """What `/metrics` says about connections."""
        turned = [("", f'limit="{name}"', self.turned_away[name]) for name in ("all", "address")]
        return [
            ("connections_refused_total", "counter", turned),
            ("unfinished_request_bytes", "gauge", [("", "", self.held_bytes)]),
        ]

    def leave(self) -> None:
        """Go on for now, but let every answer from here on be the last of its connection."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.answer_last()

    async def drain(self, seconds: float) -> None:
        """Answer what was asked, then close; at most `seconds`.

        Who has connected is taken in before the socket closes. A connection on which nothing is
        owed is kept for `LINGER_S`: its next request may be on the way.
        """
        self.leave()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(ACCEPT_S)
        if self._server is not None:
            self._server.close()
        await self._quiet(began + min(LINGER_S, seconds), began + seconds)
        for connection in tuple(self.connections):
            connection.close()
        await asyncio.sleep(0.05)
        for connection in tuple(self.connections):
            connection.abort()
        if self._clock is not None:
            self._clock.cancel()

    async def _quiet(self, linger: float, until: float) -> None:
        """Wait, looking now and then, as a busy connection is no event that anyone signals."""
        loop = asyncio.get_running_loop()
        while self.connections and loop.time() < until:
            if loop.time() >= linger and not any(each.busy for each in self.connections):
                return
            await asyncio.sleep(0.01)

    def _tick(self) -> None:
        """Once a second: the Date header, and the sweep for slow and idle connections."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = formatdate(usegmt=True).encode()
        self.ok_head = (
            b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: application/json\r\nContent-Length: "
            % self.date
        )
        for connection in tuple(self.connections):
            connection.check_time(self.now)
        self._clock = loop.call_later(1.0, self._tick)


def origin_of(peer: object) -> str:
    """Whose connection it is: the address, of IPv6 the /64 that one customer has; "" if unknown."""
    if not isinstance(peer, tuple):
        return ""
    host = str(peer[0]).partition("%")[0]
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((host, 64), strict=False))
