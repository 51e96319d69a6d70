"""The gateways' streams in Redis, read by one consumer group over all of them."""

import os
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
import structlog

from contracts.records import ACKED_KEY, ENVELOPE_FIELD, OLDEST_FIELD, STREAMS_KEY

log = structlog.get_logger(__name__)
GROUP = "ingest"
FIELD, OLDEST = ENVELOPE_FIELD.encode(), OLDEST_FIELD.encode()
FORGET_CONSUMER_MS = 3_600_000

# Two workers may report in either order; what a gateway may delete never moves back.
RAISE_ACKED = """
for i = 1, #ARGV, 2 do
    local held = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '-1')
    if tonumber(ARGV[i + 1]) > held then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
"""


@dataclass(frozen=True)
class Delivery:
    """One stream entry handed to this consumer; `body` is the envelope's bytes.

    `oldest`: when it was sent, its gateway had deleted every batch of this boot before this one.
    """

    stream: str
    entry: bytes
    body: bytes
    oldest: int = 1


def consumer_name() -> str:
    """A name that no other process has had."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Streams:
    """All streams named in the set of streams. Every method may raise redis.RedisError.

    At most `count` entries of each stream are read at once.
    What was read and not `finish`ed is handed to some consumer again after `stale_ms`.
    """

    def __init__(
        self, client: "redis.Redis", *, consumer: str, count: int = 8, stale_ms: int = 15_000
    ) -> None:
        self._client = client
        self._consumer = consumer
        self._count, self._stale_ms = count, stale_ms
        self._names: list[bytes] = []
        self._raise_acked = client.register_script(RAISE_ACKED)

    @property
    def known(self) -> bool:
        """Whether there is any stream to read."""
        return bool(self._names)

    def discover(self) -> None:
        """Look for streams that are new."""
        for name in sorted(cast("set[bytes]", self._client.smembers(STREAMS_KEY))):
            if name not in self._names:
                self._join(name)
                self._names.append(name)

    def read(self, *, block_ms: int) -> list[Delivery]:
        """New entries, waiting up to `block_ms` (0: not at all) for the first one."""
        if not self._names:
            return []
        try:
            answer = self._client.xreadgroup(
                GROUP,
                self._consumer,
                dict.fromkeys(self._names, ">"),
                count=self._count,
                block=block_ms or None,
            )
        except redis.ResponseError as error:
            self._after(error)
            return []
        parts = answer.items() if isinstance(answer, dict) else answer or ()
        return [
            delivery
            for name, entries in cast("Iterable[tuple[bytes, Any]]", parts)
            for delivery in _deliveries(name, entries)
        ]

    def claim(self) -> list[Delivery]:
        """Entries that another consumer took and did not finish."""
        claimed: list[Delivery] = []
        try:
            for name in self._names:
                claimed += self._claim(name)
        except redis.ResponseError as error:
            self._after(error)
        return claimed

    def _claim(self, name: bytes) -> list[Delivery]:
        answer = self._client.xautoclaim(
            name, GROUP, self._consumer, self._stale_ms, count=self._count
        )
        return _deliveries(name, cast("Sequence[Any]", answer)[1])

    def _join(self, name: bytes) -> None:
        try:
            self._client.xgroup_create(name, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _after(self, error: redis.ResponseError) -> None:
        """After a flush, streams and groups are gone and the gateways send again."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            raise error
        log.warning("ingest.streams_lost", error=str(error))
        self._names = []
        self.discover()

    def acknowledge(self, ingested: Mapping[tuple[str, str], int]) -> None:
        """Tell gateways up to where they may delete, by (gateway, boot)."""
        if ingested:
            pairs = [
                text
                for (gateway, boot), seq in ingested.items()
                for text in (f"{gateway}:{boot}", str(seq))
            ]
            self._raise_acked(keys=[ACKED_KEY], args=pairs)

    def finish(self, deliveries: Iterable[Delivery]) -> None:
        """Remove entries whose facts are committed."""
        pipeline = self._client.pipeline(transaction=False)
        for delivery in deliveries:
            pipeline.xack(delivery.stream, GROUP, delivery.entry)
            pipeline.xdel(delivery.stream, delivery.entry)
        pipeline.execute(raise_on_error=False)

    def backlog(self) -> dict[str, int]:
        """Entries in each stream, by its name."""
        return {name.decode(): int(str(self._client.xlen(name))) for name in self._names}

    def forget_dead_consumers(self) -> None:
        """Remove consumers that have had nothing for an hour and owe nothing."""
        for name in self._names:
            for consumer in self._client.xinfo_consumers(name, GROUP):
                if consumer["pending"] == 0 and consumer["idle"] > FORGET_CONSUMER_MS:
                    self._client.xgroup_delconsumer(name, GROUP, consumer["name"])


def _deliveries(name: bytes, entries: Any) -> list[Delivery]:
    # redis-py nests the entries of a stream once more under RESP3.
    flat = entries[0] if entries and isinstance(entries[0], list) else entries
    return [
        Delivery(name.decode(), entry, fields.get(FIELD, b""), int(fields.get(OLDEST, b"1")))
        for entry, fields in flat
        if fields is not None
    ]
