"""Answers kept for equal questions: one bounded memory per endpoint, least recently used out first.

An entry is fresh for `ttl_s` and stays `stale_s` more for the fallback chain. Equal questions that
come while one is being asked wait for its answer. Early expiry (XFetch: Vattani, Chierichetti,
Lowenstein 2015) has one request ask again before an entry is over, the sooner the dearer it was:
when now - d * beta * ln(u) >= expiry, d = seconds that it took, u uniform in (0, 1].

Times are epoch seconds, because entries travel between gateways.
"""

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import structlog

from contracts.policy import Cache as CacheSpec
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Variant
from serving.labels import Answer

log = structlog.get_logger()

SELDOM = 37.0  # -ln(u) of a 53-bit u is never more
HIT_SHARE, JUDGED_ROWS = 0.05, 1_000
JUDGED_S = 300.0

Kind = Literal["memory", "shared", "coalesced", "miss", "early"]
_encode = msgspec.msgpack.Encoder().encode


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One answer: when it was made, the seconds that it took, and what the model said."""

    made_at: float
    took_s: float
    answer: Answer
    output: bytes


class Place(NamedTuple):
    """Where the second level keeps a key's entry: in one of the endpoint's `slots`."""

    endpoint: str
    slots: int
    key: bytes

    @property
    def slot(self) -> int:
        """The one slot that the key may take."""
        return int.from_bytes(self.key[:8], "little") % self.slots


class HitRate:
    """Whether caching pays: off for twice `judged_s` after a window with fewer than 5 % hits.

    A window is judged after `judged_s` if it saw `JUDGED_ROWS` rows; then the next one begins.
    """

    __slots__ = ("_hits", "_off_until", "_rows", "_since", "judged_s", "last")

    def __init__(self, judged_s: float = JUDGED_S) -> None:
        self.judged_s = judged_s
        self._since = self._off_until = 0.0
        self._rows = self._hits = 0
        self.last = math.nan

    @property
    def pause_s(self) -> float:
        """How long it then stays off."""
        return 2 * self.judged_s

    def is_on(self, now: float) -> bool:
        """Whether rows are to be looked up."""
        return now >= self._off_until

    def count(self, hit: bool, now: float) -> bool:
        """Add a row; False when with it a window ends that shows that caching does not pay."""
        if self._rows == 0:
            self._since = now
        self._rows += 1
        self._hits += hit
        if self._rows < JUDGED_ROWS or now - self._since < self.judged_s:
            return True
        self.last = self._hits / self._rows
        self._rows = self._hits = 0
        if self.last >= HIT_SHARE:
            return True
        self._off_until = now + self.pause_s
        return False


class Look(NamedTuple):
    """What became of a question: an `entry` answers it, or it `leads` (asks), or it waits."""

    entry: Entry | None
    leads: bool
    early: bool = False


class EndpointCache:
    """What one endpoint keeps, over changes of its table. No I/O: the caller asks."""

    def __init__(
        self,
        endpoint: str,
        spec: CacheSpec,
        uniform: Callable[[], float],
        judged_s: float = JUDGED_S,
    ) -> None:
        self.endpoint = endpoint
        self.spec = spec
        self.rate = HitRate(judged_s)
        self.counts: Counter[Kind] = Counter()
        self._uniform = uniform
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._waiting: dict[bytes, list[Row]] = {}

    @property
    def hit_rate(self) -> float:
        """Share of rows since the start that no model had to be asked for."""
        rows = self.counts.total()
        return 1 - (self.counts["miss"] + self.counts["early"]) / rows if rows else 0.0

    @property
    def waiting(self) -> int:
        """Rows that wait for an equal one's answer."""
        return sum(map(len, self._waiting.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, row: Row, now: float) -> Look:
        """Find the row's answer, or its place in the queue for one."""
        key = row.cache_key
        entry = self._entries.get(key)
        followers = self._waiting.get(key)
        if entry is not None and now < entry.made_at + self.spec.ttl_s:
            if followers is not None or not self.is_early(entry, now):
                self._entries.move_to_end(key)
                return Look(entry, leads=False)
            self._lead(row)
            return Look(None, leads=True, early=True)
        if followers is not None:
            followers.append(row)
            return Look(None, leads=False)
        self._lead(row)
        return Look(None, leads=True)

    def is_early(self, entry: Entry, now: float) -> bool:
        """XFetch's draw: whether this request asks again although the entry is fresh."""
        left = entry.made_at + self.spec.ttl_s - now
        reach = entry.took_s * self.spec.beta
        return left < reach * SELDOM and left <= reach * -math.log(1.0 - self._uniform())

    def is_fresh(self, entry: Entry, now: float) -> bool:
        """Whether an entry from elsewhere answers."""
        return now < entry.made_at + self.spec.ttl_s and not self.is_early(entry, now)

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry; the least recently used goes when there are too many."""
        entries = self._entries
        entries[key] = entry
        entries.move_to_end(key)
        while len(entries) > self.spec.entries:
            entries.popitem(last=False)

    def stale(self, key: bytes, now: float) -> Entry | None:
        """What the fallback chain may still answer with."""
        entry = self._entries.get(key)
        if entry is None or now >= entry.made_at + self.spec.ttl_s + self.spec.stale_s:
            return None
        return entry

    def place(self, key: bytes) -> Place:
        """Where the second level keeps this key."""
        return Place(self.endpoint, self.spec.entries, key)

    def release(self, row: Row) -> list[Row]:
        """The rows that waited for this leader and wait still."""
        row.leads = False
        return [each for each in self._waiting.pop(row.cache_key, ()) if not each.closed]

    def lead_next(self, row: Row, followers: list[Row]) -> None:
        """Have `row` ask in its leader's place, for `followers` too."""
        self._lead(row)
        self._waiting[row.cache_key] = followers

    def count(self, kind: Kind, now: float) -> None:
        """Add one row to the figures, and give up for a while when they are poor."""
        self.counts[kind] += 1
        if not self.rate.count(kind not in ("miss", "early"), now):
            self._entries.clear()
            log.warning(
                "cache.switched_off",
                endpoint=self.endpoint,
                hit_rate=round(self.rate.last, 4),
                pause_s=self.rate.pause_s,
            )

    def _lead(self, row: Row) -> None:
        row.leads = True
        self._waiting[row.cache_key] = []


class Keys:
    """Keys of one variant: SHA-256 of all that decides an answer.

    That is the version, its schema and labelling, those of an ensemble's members, and the
    features as validation typed them; where features are looked up, the unit as well.
    """

    __slots__ = ("_by_user", "_prefix")

    def __init__(self, endpoint: Endpoint, variant: Variant) -> None:
        ensemble = variant.spec.ensemble
        members = [endpoint.variant(key) for key in ensemble.members] if ensemble else []
        parts = [ensemble, *[_identity(each) for each in (variant, *members) if each]]
        self._prefix = hashlib.sha256(msgspec.json.encode(parts, order="deterministic"))
        self._by_user = endpoint.spec.policy.lookup is not None

    def of(self, row: Row) -> bytes:
        """The row's key, 32 bytes."""
        found = self._prefix.copy()
        found.update(_encode((row.values, row.user) if self._by_user else row.values))
        return found.digest()


def _identity(variant: Variant) -> Sequence[object]:
    spec = variant.spec
    return spec.version, spec.entry, spec.schema, spec.labelling
