"""From a validated row to its answer, whatever the protocol.

    cache -> breaker -> batcher ... settled -> recover -> mirror -> record -> respond

Nothing here waits: a row goes on when its batch, its leader or the shared cache comes back.
"""

import asyncio
import time
from functools import partial
from operator import attrgetter
from typing import Protocol

from dataplane.gateway.batching import Call
from dataplane.gateway.cache import EndpointCache, Entry
from dataplane.gateway.facts import Facts
from dataplane.gateway.lane import Lane, Lanes
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import Refusal
from dataplane.gateway.recover import Chain, Standby
from dataplane.gateway.row import Row
from dataplane.gateway.shared import SharedCache
from dataplane.gateway.withdraw import Guards
from dataplane.spool import BY_DEFAULT, BY_VARIANT, CACHE_HIT, FALLBACK, LOOKUP_UNREAD, PINNED
from serving.labels import Answer
from serving.validation import InvalidFeatures

OWN_TIME = frozenset({"timeout", "overload"})
NOT_KEPT = CACHE_HIT | LOOKUP_UNREAD  # an answer from defaults would outlive the hiccup
LEAST_TIME_S = 0.001
HOW = {"stale": 0, "default": BY_DEFAULT}

_answer_of = attrgetter("answer")
_closed_of = attrgetter("closed")
_lane_of = attrgetter("lane")
_serial_of = attrgetter("variant.serial")


class Mirror(Protocol):
    """What may look at served rows, for endpoints whose policy has mirrors."""

    def observe(self, row: Row) -> None:
        """A row has its answer. Must return at once and leave the row as it is."""


class NoMirror:
    """Looks at nothing."""

    def observe(self, row: Row) -> None:
        """Let it pass."""


class Journey:
    """`enter` takes a row in; `settled` is where its micro-batch comes out."""

    def __init__(
        self, *, guards: Guards, facts: Facts, metrics: Metrics, mirror: Mirror | None = None
    ) -> None:
        self._guards = guards
        self._facts = facts
        self._metrics = metrics
        self._mirror = mirror or NoMirror()
        self._due: list[Row] = []
        self.lanes: Lanes
        self.shared: SharedCache | None = None

    def enter(self, row: Row, timeout_s: float | None = None) -> None:
        """Find the row an answer, within `timeout_s` of its start if the client says so.

        Raises Refusal 429 when too many wait and nothing stands in.
        """
        lane = self.lanes.known.get(row.variant)
        if lane is None:
            lane = self.lanes.of(row)
        row.lane = lane
        hurried = timeout_s is not None and row.started + timeout_s < row.deadline
        if timeout_s is not None and hurried:
            row.deadline = row.started + timeout_s
        if lane.cache is None or row.flags & PINNED:
            self._ask(row, lane)
        else:
            self._look(row, lane, lane.cache)
        if hurried:
            self._limit_patience(row)

    def settled(self, call: Call) -> None:
        """A micro-batch is back: judge it, then conclude its rows."""
        now = time.perf_counter()
        rows = call.rows
        if any(map(_closed_of, rows)):
            rows = [row for row in rows if not row.closed]
        plain = all(map(_answer_of, rows))
        for lane in set(map(_lane_of, rows)):
            plain = plain and not lane.special
            if lane.breaker is not None:
                lane.judge(lane.breaker, [row for row in rows if row.lane is lane], now)
        if plain and rows:
            call.rows = rows
            self._close(call, now)
        else:
            self._conclude(call, rows, now)

    # Cache

    def _look(self, row: Row, lane: Lane, cache: EndpointCache) -> None:
        now = time.time()
        if not cache.rate.is_on(now):
            self._ask(row, lane)
            return
        row.cache_key = lane.keys.of(row)
        look = cache.look(row, now)
        if look.entry is not None:
            cache.count("memory", now)
            answer_from(row, look.entry)
            self._later(row)
        elif look.early:
            cache.count("early", now)
            self._ask_leading(row, lane)
        elif look.leads and self.shared is not None and cache.spec.shared:
            self.shared.get(cache.place(row.cache_key), partial(self._fetched, row, cache))
        elif look.leads:
            cache.count("miss", now)
            self._ask_leading(row, lane)

    def _fetched(self, row: Row, cache: EndpointCache, entry: Entry | None) -> None:
        """What the second level had for a row that leads."""
        if row.closed:
            return
        now = time.time()
        if entry is not None:
            cache.put(row.cache_key, entry)
        if entry is not None and cache.is_fresh(entry, now):
            cache.count("shared", now)
            answer_from(row, entry)
            self._later(row)
            return
        cache.count("miss", now)
        row.asked_at = time.perf_counter()
        self._ask_leading(row, row.lane)

    def _ask_leading(self, row: Row, lane: Lane) -> None:
        """Ask for a row on which others may wait: its refusal is an outcome like others."""
        try:
            self._ask(row, lane)
        except Refusal as refusal:
            self._turn_away(row, refusal)

    def _released(self, row: Row, cache: EndpointCache, now: float) -> list[Row]:
        """The followers that share their leader's fate.

        Where only the leader's time was up, the others go on with a new leader.
        """
        followers = cache.release(row)
        if row.answer is not None:
            entry = Entry(time.time(), now - row.asked_at, row.answer, row.output)
            if not row.flags & NOT_KEPT:
                self._keep(row.cache_key, entry, cache)
            for follower in followers:
                cache.count("coalesced", entry.made_at)
                answer_from(follower, entry)
            return followers
        if row.error in OWN_TIME:
            late = [each for each in followers if each.deadline <= now]
            self._lead_next([each for each in followers if each.deadline > now], cache)
            followers = late
        for follower in followers:
            follower.refusal = row.refusal
            follower.fail(row.error or "internal", row.detail, blamed=row.blamed)
        return followers

    def _keep(self, key: bytes, entry: Entry, cache: EndpointCache) -> None:
        cache.put(key, entry)
        if self.shared is not None and cache.spec.shared:
            self.shared.put(cache.place(key), entry, cache.spec.ttl_s + cache.spec.stale_s)

    def _lead_next(self, followers: list[Row], cache: EndpointCache) -> None:
        if followers:
            cache.lead_next(followers[0], followers[1:])
            followers[0].asked_at = time.perf_counter()
            self._ask_leading(followers[0], followers[0].lane)

    # Breaker and batcher

    def _ask(self, row: Row, lane: Lane) -> None:
        """Raises Refusal 429 where nothing stands behind the variant."""
        breaker = lane.breaker
        if breaker is not None and not breaker.closed:
            row.probes = breaker.let_probe(time.perf_counter())
            if not row.probes:
                row.fail("unavailable", "the breaker is open", blamed=False)
                self._later(row)
                return
        try:
            lane.batcher.submit(row)
        except Refusal as refusal:
            give_up_probe(row, time.perf_counter())
            if lane.chain is None:
                raise
            self._turn_away(row, refusal)

    def _turn_away(self, row: Row, refusal: Refusal) -> None:
        """The queue is full: see whether something else answers."""
        row.refusal = refusal
        row.fail("overload", refusal.detail, blamed=False)
        self._later(row)

    def _limit_patience(self, row: Row) -> None:
        """Close the row when the client's own deadline has passed, wherever it then is."""
        delay = row.deadline - time.perf_counter()
        row.patience = asyncio.get_running_loop().call_later(max(delay, 0.0), self._expire, row)

    def _expire(self, row: Row) -> None:
        if row.closed:
            return
        give_up_probe(row, time.perf_counter())
        if row.answer is None:
            row.fail("timeout", "the client's own deadline passed", blamed=False)
        self._conclude(Call([]), [row], time.perf_counter())

    # Recover

    def _later(self, row: Row) -> None:
        """Conclude the row with the others of this turn of the event loop."""
        self._due.append(row)
        if len(self._due) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        rows = [row for row in self._due if not row.closed]
        self._due = []
        rows.sort(key=_serial_of)
        self._conclude(Call([]), rows, time.perf_counter())

    def _conclude(self, call: Call, rows: list[Row], now: float) -> None:
        """Each row has an answer or an error: recover what failed, close what is done."""
        for row in [each for each in rows if each.leads]:
            cache = row.lane.cache
            if cache is not None:
                rows += self._released(row, cache, now)
        gone = {row for row in rows if _is_open(row) and self._goes_on(row, now)}
        call.rows = [row for row in rows if row not in gone] if gone else rows
        if call.rows or call.calls:
            self._close(call, now)

    def _goes_on(self, row: Row, now: float) -> bool:
        """Take the steps of the chain; True when another variant is now being asked."""
        was_home = row.home is None
        if row.answer is None and row.error is None:
            row.fail("internal", blamed=False)
        if not was_home:
            take_home(row)
        chain = None if row.answer is not None or row.flags & PINNED else row.lane.chain
        if chain is None or (was_home and self._stale(row, chain)):
            return False
        if was_home and chain.standby is not None and self._stands_in(row, chain.standby, now):
            return True
        if chain.default is not None:
            fall_back(row, "default", *chain.default)
        return False

    def _stale(self, row: Row, chain: Chain) -> bool:
        cache = row.lane.cache
        if not chain.stale or not row.cache_key or cache is None:
            return False
        entry = cache.stale(row.cache_key, time.time())
        if entry is None:
            return False
        fall_back(row, "stale", entry.answer, entry.output)
        return True

    def _stands_in(self, row: Row, standby: Standby, now: float) -> bool:
        """Ask another variant, if there is time, room and reason to."""
        if row.deadline - now < LEAST_TIME_S:
            return False
        values = row.values
        if not standby.same_input:
            try:
                values = standby.variant.schema.read(row.variant.schema.as_dict(values))
            except InvalidFeatures:
                return False
        lane = self.lanes.standby(row.endpoint, standby.variant)
        lane.special = True  # from now on it may have rows that are not its own
        row.home = (row.lane, row.values)
        row.lane, row.asked, row.values, row.asked_at = lane, standby.variant, values, now
        row.error = None
        if self._submitted(row, lane, now):
            return True
        take_home(row)
        return False

    def _submitted(self, row: Row, lane: Lane, now: float) -> bool:
        breaker = lane.breaker
        if breaker is not None and not breaker.closed:
            row.probes = breaker.let_probe(now)
            if not row.probes:
                return False
        try:
            lane.batcher.submit(row)
        except Refusal:
            give_up_probe(row, now)
            return False
        return True

    def _close(self, call: Call, now: float) -> None:
        """Write down what happened, then say it."""
        rows, at = call.rows, time.time()
        for row in rows:
            row.closed = True
            row.latency_ms = (now - row.started) * 1_000
            if row.patience is not None:
                row.patience.cancel()
        try:
            failures = self._guards.observe(rows, at)
            self._facts.answered(call, at, failures)
            self._metrics.answered(call)
        finally:
            for row in rows:
                row.deliver(row)
        if self.lanes.mirrored:
            self._show_mirror(rows)

    def _show_mirror(self, rows: list[Row]) -> None:
        for row in rows:
            if row.lane.mirrored and row.answer is not None:
                self._mirror.observe(row)


def answer_from(row: Row, entry: Entry) -> None:
    """Answer out of the cache."""
    row.answer, row.output = entry.answer, entry.output
    row.cache_hit = True
    row.flags |= CACHE_HIT


def fall_back(row: Row, name: str, answer: Answer, output: bytes) -> None:
    """Answer with what stands behind the variant assigned."""
    row.answer, row.output, row.error = answer, output, None
    row.fallback = name
    row.flags |= FALLBACK | HOW.get(name, BY_VARIANT)


def take_home(row: Row) -> None:
    """Back from the variant that stood in: with its answer, or as failed as before."""
    if row.home is not None:
        row.lane, row.values = row.home
        row.home = None
    if row.answer is not None:
        fall_back(row, f"variant:{row.asked.key}", row.answer, row.output)
    else:
        row.asked, row.error = row.variant, row.failure


def give_up_probe(row: Row, now: float) -> None:
    """The breaker learns nothing from this row after all."""
    breaker = row.lane.breaker
    if row.probes and breaker is not None:
        row.probes = False
        breaker.probed(None, now)


def _is_open(row: Row) -> bool:
    """Whether there is more to do than to close the row."""
    return row.answer is None or row.home is not None
