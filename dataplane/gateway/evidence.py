"""Evidence that gateways share: each guardrail's first failures, in one order for the whole fleet.

Per (rollout, candidate) Redis keeps a stream of units by first failure. A script appends a unit
once, whichever gateway saw it fail first, and every gateway folds the stream in its order; so
three gateways withdraw on the failures of all three, at the same entry, and one that restarts
reads its evidence back.

Why that may be looked at as often as one likes: number the units as the stream lists them. If the
candidate is no worse, then whatever the stream held before, unit n lies in the candidate with
probability at most r0 of its share, for allocation hashes the unit, and how long a gateway takes
to tell does not depend on the arm. The wealth along the stream is therefore one test
supermartingale for the fleet: the probability that it ever passes 1/alpha, at any gateway, is at
most alpha (Ville), however many gateways fold it.

A unit that Redis does not confirm within `PATIENCE_S` counts at its own gateway all the same, and
is known again when the stream brings it: each gateway counts a unit once. Wealth is a mean of
products, which do not depend on the order of their factors, so such a gateway's wealth is a
supermartingale too, along the order in which it learnt of the units, and its own risk stays at
most alpha. Of n gateways that are all cut off, some one withdraws wrongly with at most n alpha.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby, islice
from typing import Any, NamedTuple

import redis
import structlog

from contracts.routing import Guardrail
from serving import guardrail as wealth

log = structlog.get_logger()

STREAM_KEY = "switchyard:evidence:"
UNITS_SUFFIX = ":units"
UNIT, CANDIDATE, SHARE = b"u", b"c", b"s"
MAX_UNITS = 100_000
KEPT_S = 30 * 86_400
LEFT_S = 3_600
PATIENCE_S = 0.05
POLL_S = 0.05
AWAY_S = 0.25
POSTED_AT_ONCE = 256
READ_AT_ONCE = 1_000
MAX_PENDING = 10_000

# KEYS: stream, units. ARGV: most units, seconds to keep, then unit, candidate and share of each.
_APPEND = """
for at = 3, #ARGV, 3 do
  if redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[1]) then break end
  if redis.call('SADD', KEYS[2], ARGV[at]) == 1 then
    redis.call('XADD', KEYS[1], '*', 'u', ARGV[at], 'c', ARGV[at + 1], 's', ARGV[at + 2])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
"""

Key = tuple[str, str]  # rollout, candidate


class Finding(NamedTuple):
    """A unit's first failure in a rollout; `share` is the candidate's as designed (0..1)."""

    key: Key
    unit: bytes
    in_candidate: bool
    share: float


class Watch:
    """The evidence of one guardrail, kept over steps: each unit once, by its first failure."""

    def __init__(self, spec: Guardrail) -> None:
        self.wealth = wealth.Guardrail(alpha=spec.alpha, harm_ratio=spec.harm_ratio)
        self.tripped = False
        self._counted: set[bytes] = set()

    def take(self, finding: Finding) -> bool:
        """Count a unit, unless it is known; whether the wealth has now passed, once."""
        if finding.unit in self._counted or len(self._counted) >= MAX_UNITS:
            return False
        self._counted.add(finding.unit)
        self.wealth.observe(finding.in_candidate, finding.share)
        if self.tripped or not self.wealth.crossed:
            return False
        self.tripped = True
        return True


class SharedEvidence(threading.Thread):
    """Posts this gateway's findings and brings back everybody's, in the stream's order.

    `fold` is called with them on the event loop.
    """

    def __init__(
        self,
        *,
        redis_url: str,
        loop: asyncio.AbstractEventLoop,
        fold: Callable[[list[Finding]], None],
    ) -> None:
        super().__init__(name="shared-evidence", daemon=True)
        self._loop, self._fold = loop, fold
        self._client = redis.Redis.from_url(
            redis_url, socket_timeout=2.0, socket_connect_timeout=2.0
        )
        self._halt = False
        self._bell = threading.Event()
        self._pending: deque[Finding] = deque()
        self._wanted: frozenset[Key] = frozenset()
        self._read_to: dict[Key, bytes] = {}
        self.connected = False

    def post(self, finding: Finding) -> bool:
        """Tell the others; whether they can be reached at this moment."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(finding)
            self._bell.set()
        return self.connected

    def follow(self, keys: Iterable[Key]) -> None:
        """Read these streams from their start, and no others."""
        self._wanted = frozenset(keys)
        self._bell.set()

    def halt(self) -> None:
        """Ask the thread to end."""
        self._halt = True
        self._bell.set()

    def run(self) -> None:
        while not self._halt:
            self._bell.wait(POLL_S if self._wanted else None)
            self._bell.clear()
            try:
                self._turn()
            except redis.RedisError as error:
                self._lost(error)
                self._bell.wait(AWAY_S)
            except Exception:  # a thread that died here would leave the gateway to itself
                log.exception("evidence.failed")
                self.connected = False
                self._bell.wait(AWAY_S)

    def _turn(self) -> None:
        """Post what is pending and read what is new, in one round trip."""
        self._leave()
        posted = list(islice(self._pending, POSTED_AT_ONCE))
        read_to = {_stream(key): self._read_to.setdefault(key, b"0") for key in self._wanted}
        if not posted and not read_to:
            return
        pipe = self._client.pipeline(transaction=False)
        for key, findings in groupby(sorted(posted, key=_key), _key):
            _append(pipe, key, findings)
        if read_to:
            pipe.xread(read_to, count=READ_AT_ONCE)  # type: ignore[arg-type]  # redis-py's invariance
        replies = pipe.execute()
        self.connected = True
        for _ in posted:
            self._pending.popleft()
        if (read_to and self._take(replies[-1])) or self._pending:
            self._bell.set()

    def _take(self, reply: Any) -> bool:
        """Hand on what was read; whether there may be more."""
        streams = dict(reply or ())
        found: list[Finding] = []
        for key in self._wanted:
            for number, fields in streams.get(_stream(key).encode(), ()):
                self._read_to[key] = number
                found.append(_finding(key, fields))
        if found and not self._halt:
            self._loop.call_soon_threadsafe(self._fold, found)
        return any(len(entries) >= READ_AT_ONCE for entries in streams.values())

    def _leave(self) -> None:
        """Let the streams of rollouts that are over run out."""
        for key in self._read_to.keys() - self._wanted:
            pipe = self._client.pipeline(transaction=False)
            pipe.expire(_stream(key), LEFT_S)
            pipe.expire(_stream(key) + UNITS_SUFFIX, LEFT_S)
            pipe.execute()
            del self._read_to[key]

    def _lost(self, error: redis.RedisError) -> None:
        if self.connected:
            log.warning("evidence.alone", error=str(error))
        self.connected = False


def _key(finding: Finding) -> Key:
    return finding.key


def _stream(key: Key) -> str:
    return STREAM_KEY + ":".join(key)


def _append(pipe: "redis.client.Pipeline", key: Key, findings: Iterable[Finding]) -> None:
    values: list[Any] = [MAX_UNITS, KEPT_S]
    for each in findings:
        values += (each.unit, int(each.in_candidate), repr(each.share))
    pipe.eval(_APPEND, 2, _stream(key), _stream(key) + UNITS_SUFFIX, *values)


def _finding(key: Key, fields: dict[bytes, bytes]) -> Finding:
    return Finding(key, fields[UNIT], fields[CANDIDATE] == b"1", float(fields[SHARE]))
