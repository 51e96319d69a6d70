"""A variant's way through the gateway, put together once: cache, breaker, batcher, chain."""

import random
import time
from collections.abc import Callable, Mapping
from operator import attrgetter

from contracts.policy import Cache as CacheSpec
from dataplane.gateway.batchers import Batchers
from dataplane.gateway.batching import Queue
from dataplane.gateway.breaker import Breaker, State
from dataplane.gateway.cache import JUDGED_S, EndpointCache, Keys
from dataplane.gateway.metrics import Family
from dataplane.gateway.recover import Chain, compile_chain
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Variant

HELD_AGAINST = frozenset({"model", "timeout", "invalid_output", "unavailable"})
_answer_of = attrgetter("answer")


class Lane:
    """What a policy does not ask for is None.

    A lane that is not `special` has nothing to do for rows that were answered.
    """

    __slots__ = (
        *("batcher", "breaker", "cache", "chain", "keys"),
        *("mirrored", "slow_s", "special", "variant"),
    )

    def __init__(
        self,
        endpoint: Endpoint,
        variant: Variant,
        *,
        batcher: Queue,
        breaker: Breaker | None,
        cache: EndpointCache | None,
    ) -> None:
        self.variant = variant
        self.batcher = batcher
        self.breaker = breaker
        self.slow_s = breaker.spec.slow_ms / 1_000 if breaker is not None else 0.0
        self.cache = cache
        self.keys = Keys(endpoint, variant)
        self.chain: Chain | None = compile_chain(endpoint, variant)
        self.mirrored = bool(endpoint.spec.policy.mirrors)
        self.special = cache is not None

    def judge(self, breaker: Breaker, rows: list[Row], now: float) -> None:
        """Tell the breaker what became of rows that this variant was asked for."""
        if not breaker.closed:
            for row in [each for each in rows if each.probes]:
                row.probes = False
                breaker.probed(self._verdict(row, now), now)
        elif not self.slow_s and all(map(_answer_of, rows)):
            breaker.observe(len(rows), 0, now)
        else:
            verdicts = [self._verdict(row, now) for row in rows]
            breaker.observe(verdicts.count(True), verdicts.count(False), now)

    def _verdict(self, row: Row, now: float) -> bool | None:
        """Good, bad, or None: what is not the variant's doing says nothing about it."""
        if row.answer is not None:
            return not self.slow_s or now - row.asked_at <= self.slow_s
        if row.error == "timeout" and row.patience is not None:
            return None
        return False if row.error in HELD_AGAINST else None


class Lanes:
    """One lane per variant; caches and breakers outlive changes of the table."""

    def __init__(
        self,
        batchers: Batchers,
        *,
        uniform: Callable[[], float] = random.random,
        judged_s: float = JUDGED_S,
    ) -> None:
        self._batchers = batchers
        self._judged_s = judged_s
        self._uniform = uniform
        self.known: dict[Variant, Lane] = {}
        self.mirrored = False
        self._caches: dict[str, EndpointCache] = {}
        self._breakers: dict[tuple[str, str, str], Breaker] = {}

    def of(self, row: Row) -> Lane:
        """The lane of the row's variant, made on first use. Raises SchemaError."""
        lane = self.known.get(row.variant)
        return lane if lane is not None else self.standby(row.endpoint, row.variant)

    def standby(self, endpoint: Endpoint, variant: Variant) -> Lane:
        """The lane of any variant of an endpoint. Raises SchemaError."""
        lane = self.known.get(variant)
        if lane is None:
            lane = self.known[variant] = Lane(
                endpoint,
                variant,
                batcher=self._batchers.of(variant),
                breaker=self._breaker(variant, endpoint),
                cache=self._cache(variant.endpoint, endpoint.spec.policy.cache),
            )
            self.mirrored = self.mirrored or lane.mirrored
        return lane

    def keep_only(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Forget what the table does not mention any more; rows under way keep their lanes."""
        variants = {variant for each in endpoints.values() for variant in each.variants}
        self.known = {v: lane for v, lane in self.known.items() if v in variants}
        self.mirrored = any(lane.mirrored for lane in self.known.values())
        self._caches = {
            name: cache
            for name, cache in self._caches.items()
            if name in endpoints and endpoints[name].spec.policy.cache is not None
        }
        present = {_key(variant) for variant in variants}
        self._breakers = {key: each for key, each in self._breakers.items() if key in present}
        self._batchers.keep_only(variants)

    def families(self, now: float) -> list[Family]:
        """What `/metrics` says about caches and breakers; `now` in monotonic seconds."""
        breakers = [
            (f'endpoint="{key[0]}",version="{key[1]}",variant="{key[2]}"', breaker)
            for key, breaker in self._breakers.items()
        ]
        caches = [(f'endpoint="{name}"', cache) for name, cache in self._caches.items()]
        wall = time.time()
        rows = [
            ("", f'{labels},result="{kind}"', float(count))
            for labels, cache in caches
            for kind, count in cache.counts.items()
        ]
        return [
            ("breaker_state", "gauge", [("", each, float(b.state(now))) for each, b in breakers]),
            ("breaker_opened_total", "counter", [("", each, b.opened) for each, b in breakers]),
            ("cache_rows_total", "counter", rows),
            ("cache_entries", "gauge", [("", each, len(cache)) for each, cache in caches]),
            ("cache_waiting", "gauge", [("", each, cache.waiting) for each, cache in caches]),
            ("cache_hit_rate", "gauge", [("", each, c.hit_rate) for each, c in caches]),
            ("cache_on", "gauge", [("", each, float(c.rate.is_on(wall))) for each, c in caches]),
        ]

    def caches_off(self, wall: float) -> dict[str, float]:
        """Endpoints whose cache is switched off at epoch second `wall`, and its share of hits."""
        return {
            name: round(cache.rate.last, 4)
            for name, cache in tuple(self._caches.items())
            if not cache.rate.is_on(wall)
        }

    def not_closed(self, now: float) -> dict[str, str]:
        """The breakers that are not closed, as the gateway's report names them."""
        return {
            f"{endpoint}/{variant}": state.name.lower()
            for (endpoint, _, variant), breaker in tuple(self._breakers.items())
            if (state := breaker.state(now)) is not State.CLOSED
        }

    def _cache(self, endpoint: str, spec: CacheSpec | None) -> EndpointCache | None:
        if spec is None:
            return None
        cache = self._caches.get(endpoint)
        if cache is None:
            cache = self._caches[endpoint] = EndpointCache(
                endpoint, spec, self._uniform, self._judged_s
            )
        cache.spec = spec
        return cache

    def _breaker(self, variant: Variant, endpoint: Endpoint) -> Breaker | None:
        spec = endpoint.spec.policy.breaker
        if spec is None:
            return None
        breaker = self._breakers.get(_key(variant))
        if breaker is None or breaker.spec != spec:
            breaker = self._breakers[_key(variant)] = Breaker(spec)
        return breaker


def _key(variant: Variant) -> tuple[str, str, str]:
    return variant.endpoint, variant.spec.version, variant.key
