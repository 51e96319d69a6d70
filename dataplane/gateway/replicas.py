"""The Tritons behind an entry: which of them get rows, and what is known of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from dataplane.gateway import errors
from dataplane.gateway.channel import Channel, open_channel
from dataplane.gateway.errors import TritonError
from dataplane.gateway.health import Health, Trigger
from dataplane.gateway.inference import Headers, Outputs, Request, is_missing
from dataplane.gateway.tls import PLAIN, Tls

log = structlog.get_logger()


class Example:
    """The last request for an entry that was answered: what a returning replica is warmed with."""

    __slots__ = ("request",)

    def __init__(self) -> None:
        self.request: Request | None = None


class Replica:
    """One entry on one Triton. `heard` is whether it answered since the prober last looked."""

    def __init__(self, channel: Channel, entry: str, example: Example) -> None:
        self.channel = channel
        self.entry = entry
        self.health = Health()
        self.heard = False
        self.missing = False
        self._example = example

    def infer(
        self, request: Request, rows: int, seconds: float, headers: Headers = ()
    ) -> Awaitable[Outputs]:
        """Send a request of so many rows; await it for its outputs, which raises TritonError."""
        self.channel.rows += rows
        return self._answered(self.channel.infer(request, seconds, headers), request, rows)

    async def probe(self, seconds: float) -> None:
        """Ask whether the entry is ready."""
        ready = await self.channel.model_ready(self.entry, seconds)
        self.missing = self.missing and self.channel.connected
        self.tell("passed" if ready else "failed")

    async def warm_up(self, seconds: float) -> None:
        """Ask once for what was asked before, and throw the answer away.

        What the model says to it does not matter. Nothing was asked before: nothing to do.
        """
        try:
            if self._example.request is not None:
                await self.channel.infer(self._example.request, seconds)
        except TritonError as error:
            if error.status in (errors.UNAVAILABLE, errors.DEADLINE_EXCEEDED):
                self.tell("lost")
                return
        self.tell("warmed")

    def tell(self, trigger: Trigger) -> None:
        """Something happened that says how this replica is."""
        if self.health.on(trigger):
            state = self.health.state
            log.warning(
                "replica.changed", address=self.channel.address, entry=self.entry, state=state
            )

    async def _answered(self, answer: Awaitable[Outputs], request: Request, rows: int) -> Outputs:
        try:
            outputs = await answer
        except TritonError as error:
            self._failed(error)
            raise
        finally:
            self.channel.rows -= rows
        self.heard = True
        self._example.request = request
        if self.health.state != "serving":
            self.tell("answered")
        return outputs

    def _failed(self, error: TritonError) -> None:
        if error.status != errors.UNAVAILABLE:
            self.heard = self.heard or error.status != errors.DEADLINE_EXCEEDED
            return
        self.missing = is_missing(error.detail)
        if self.missing or not self.channel.connected:
            self.tell("lost")


class Channels:
    """One channel per address and one replica per entry there, shared by whoever calls them.

    `on_new_replica` is called with each replica, to have it looked after.
    """

    def __init__(self, tls: Tls = PLAIN) -> None:
        self._tls = tls
        self._open: dict[str, Channel] = {}
        self._replicas: dict[tuple[str, str], Replica] = {}
        self._examples: dict[str, Example] = {}
        self.on_new_replica: Callable[[Replica], None] = _ignore

    def at(self, address: str) -> Channel:
        """The channel to an address, opened on first use. Call it on the event loop."""
        channel = self._open.get(address)
        if channel is None:
            channel = self._open[address] = open_channel(address, self._tls)
        return channel

    @property
    def replicas(self) -> Sequence[Replica]:
        """All that are in use."""
        return tuple(self._replicas.values())

    @property
    def out(self) -> tuple[str, ...]:
        """The Tritons, by address, that get no rows of some entry which they should have."""
        out = {r.channel.address for r in self.replicas if r.health.state == "out"}
        return tuple(sorted(out))

    def replicas_of(self, entry: str, addresses: Iterable[str]) -> list[Replica]:
        """The entry on each of these Tritons."""
        return [self._replica(entry, address) for address in addresses]

    def keep_only(self, used: set[tuple[str, str]]) -> None:
        """Forget the replicas whose (entry, address) no table mentions any more."""
        self._replicas = {key: each for key, each in self._replicas.items() if key in used}
        entries = {entry for entry, _ in used}
        self._examples = {key: each for key, each in self._examples.items() if key in entries}

    def _replica(self, entry: str, address: str) -> Replica:
        replica = self._replicas.get((entry, address))
        if replica is None:
            example = self._examples.setdefault(entry, Example())
            replica = self._replicas[entry, address] = Replica(self.at(address), entry, example)
            self.on_new_replica(replica)
        return replica

    async def ready(self, entry: str, addresses: Iterable[str], seconds: float) -> bool:
        """Connect to every address; whether any has the entry loaded."""
        probes = [self.at(each).model_ready(entry, seconds) for each in addresses]
        return any(await asyncio.gather(*probes))

    async def any_live(self, addresses: Iterable[str], seconds: float) -> bool:
        """Whether any of the Tritons answers at all."""
        return any(await asyncio.gather(*(self.at(each).live(seconds) for each in addresses)))

    def close(self) -> None:
        """Close all."""
        for channel in self._open.values():
            channel.close()
        self._open.clear()


def _ignore(_: Replica) -> None:
    """Nobody looks after replicas."""
