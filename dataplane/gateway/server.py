"""One gateway process: its parts put together, its routes, its start and its end."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from contracts.routing import GatewayReport, Override
from contracts.signing import parse_public_keys
from dataplane.gateway import oip, v2
from dataplane.gateway.assembly import limits_of, rates_of, replicas_of, siblings_of, tls_of
from dataplane.gateway.batchers import Batchers
from dataplane.gateway.clients import Clients, authenticate
from dataplane.gateway.coding import prepare
from dataplane.gateway.describe import served
from dataplane.gateway.endpoint import PredictPath
from dataplane.gateway.evidence import SharedEvidence
from dataplane.gateway.explain import ExplainPath
from dataplane.gateway.facts import Facts
from dataplane.gateway.feed import Feed
from dataplane.gateway.http import Exchange
from dataplane.gateway.lane import Lanes
from dataplane.gateway.listener import HttpServer
from dataplane.gateway.lookup import Lookups
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.mirror import Mirrors
from dataplane.gateway.outcomes import decode_outcomes
from dataplane.gateway.probing import Prober
from dataplane.gateway.problems import Refusal, not_http
from dataplane.gateway.replicas import Channels
from dataplane.gateway.respond import refuse
from dataplane.gateway.routing import Disk, Routing, Update
from dataplane.gateway.shared import SharedCache
from dataplane.gateway.siblings import Siblings
from dataplane.gateway.store import Store
from dataplane.gateway.table import Endpoint, Table
from dataplane.gateway.units import UnitHasher
from dataplane.gateway.v2 import V2
from dataplane.gateway.withdraw import Guards, Overrides
from dataplane.settings import GatewaySettings
from dataplane.spool import SpoolWriter, size_of

log = structlog.get_logger()

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
READY_PROBE_S = 1.0
MAX_WARMED = 64
Route = Callable[[Exchange], None]


class Gateway:
    """`table` and `clients` are each replaced in one assignment, on the event loop.

    Raises TlsError for settings that can never work.
    """

    def __init__(self, settings: GatewaySettings, *, boot: str) -> None:
        self.name = settings.name
        self.boot = boot
        self.table = Table()
        self.clients = Clients()
        self._settings = settings
        self._tls = tls_of(settings)
        self._started_at = time.time()
        self._spool_bytes = 0
        self._tasks: set[asyncio.Future[None]] = set()
        self._grpc: Any = None
        self._units = UnitHasher(settings.unit_hash_key)
        self._metrics = Metrics()
        self._overrides = Overrides(settings.overrides, gateway=self.name)
        self._guards = Guards(gateway=self.name, withdraw=self.withdraw)
        self._writer = SpoolWriter(
            settings.spool,
            gateway=self.name,
            boot=boot,
            segment_bytes=settings.gateway_segment_bytes,
            fsync=settings.gateway_fsync,
        )
        self._facts = Facts(self._writer, self._units)
        self._mirrors = Mirrors(
            writer=self._writer, facts=self._facts, count=self._metrics.mirrored
        )
        self._path = PredictPath(
            snapshot=self,
            guards=self._guards,
            facts=self._facts,
            metrics=self._metrics,
            units=self._units,
            mirror=self._mirrors,
            rates=rates_of(settings),
        )
        self._explain = ExplainPath(path=self._path, metrics=self._metrics)
        self._v2 = V2(
            path=self._path, snapshot=self, metrics=self._metrics, ready=self._model_ready
        )
        self._routing = Routing(
            disk=Disk(settings.routing),
            keys=parse_public_keys(settings.routing_public_keys),
            require=self._tls.require,
        )
        self._siblings = siblings_of(settings, self._figures)
        self._http = HttpServer(
            handler=self._handle, refuse=self._refuse_http, limits=limits_of(settings)
        )
        self._routes: Mapping[bytes, tuple[bytes, Route]] = {
            b"/v1/predict": (b"POST", self._path.predict),
            b"/v1/explain": (b"POST", self._explain.explain),
            b"/v1/outcomes": (b"POST", self._outcomes),
            b"/healthz": (b"GET", self._live),
            b"/readyz": (b"GET", self._ready),
            b"/v2/health/live": (b"GET", self._live),
            b"/v2/health/ready": (b"GET", self._ready),
            b"/metrics": (b"GET", self._render_metrics),
        }

    # Start and end

    async def start(self) -> None:
        """Boot from disk, listen, then follow Redis. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._channels = self._explain.channels = Channels(self._tls)
        store = Store(self._settings.gateway_store_url or self._settings.redis_url)
        self._lookups = Lookups(store, count=self._metrics.looked_up)
        self._explain.preparing = self._lookups.preparing
        self._prober = Prober(self._channels, every_s=self._settings.gateway_probe_s)
        batchers = Batchers(
            self._channels,
            finish=self._path.journey.settled,
            max_in_flight=self._settings.gateway_max_in_flight,
            preparing=self._lookups.preparing,
        )
        self._lanes = self._path.journey.lanes = Lanes(
            batchers, judged_s=self._settings.gateway_cache_judged_s
        )
        self._shared = self._path.journey.shared = SharedCache(
            self._settings.gateway_cache_redis_url or self._settings.redis_url,
            secret=self._settings.unit_hash_key.encode(),
            budget_s=self._settings.gateway_cache_budget_s,
        )
        self._mirrors.start(self._channels, self._lookups.preparing)
        self._evidence = SharedEvidence(
            redis_url=self._settings.redis_url, loop=loop, fold=self._guards.fold
        )
        self._guards.shared = self._evidence
        await self.install(self._routing.boot())
        shared = self._siblings is not None
        await self._http.start(*self._settings.listen, shared=shared)
        if self._settings.grpc_listen:
            address = self._settings.grpc_listen
            self._grpc = await oip.serve(
                address,
                path=self._path,
                snapshot=self,
                metrics=self._metrics,
                ready=self._model_ready,
                shared=shared,
            )
        if self._siblings is not None:
            await self._siblings.start()
        self._seal_later = loop.call_later(self._settings.gateway_segment_s, self._seal)
        self._feed = Feed(
            subject=self,
            routing=self._routing,
            redis_url=self._settings.redis_url,
            loop=loop,
            poll_s=self._settings.gateway_poll_s,
        )
        self._feed.start()
        self._evidence.start()
        log.info("gateway.started", gateway=self.name, boot=self.boot, port=self._http.port)

    async def stop(self) -> None:
        """Be not ready for `gateway_leave_s`, answer what was asked, seal the spool, leave."""
        log.info("gateway.draining", gateway=self.name)
        self._http.leave()
        await asyncio.sleep(self._settings.gateway_leave_s)
        seconds = self._settings.gateway_drain_s
        if self._grpc is not None:
            await asyncio.gather(self._http.drain(seconds), self._grpc.stop(seconds))
        else:
            await self._http.drain(seconds)
        self._feed.halt()
        self._evidence.halt()
        self._seal_later.cancel()
        self._mirrors.close()
        self._writer.close()
        self._prober.stop()
        if self._siblings is not None:
            self._siblings.stop()
        self._channels.close()
        self._lookups.close()
        await self._shared.close()
        log.info("gateway.stopped", gateway=self.name)

    # What the feed calls

    async def install(self, update: Update) -> None:
        """Take over new documents. New variants are warmed first, within `gateway_warm_s`."""
        if update.clients is not None:
            self.clients = update.clients
            self._path.forget_other_clients()
        if update.table is None:
            return
        await self._warm(update.table)
        await self._lookups.warm(update.table, self._settings.gateway_warm_s)
        lifted = self._overrides.drop_unbound(update.table)
        self.table = update.table.with_overrides(self._overrides.active)
        variants = {v for each in self.table.endpoints.values() for v in each.variants}
        self._explain.keep_only(variants)
        self._lanes.keep_only(self.table.endpoints)
        self._mirrors.keep_only(variants)
        self._channels.keep_only(replicas_of(variants))
        self._prober.keep_only(self._channels.replicas)
        self._metrics.forget_others(variants)
        self._guards.follow(self.table)
        log.info(
            "routing.swapped",
            generation=self.table.generation,
            epoch=self.table.epoch,
            source=self.table.source,
            lifted=len(lifted),
        )

    def report(self) -> GatewayReport:
        """What runs now."""
        table = self.table
        return GatewayReport(
            gateway=self.name,
            boot=self.boot,
            url=self._settings.gateway_url,
            epoch=table.epoch,
            generation=table.generation,
            swapped_at=table.swapped_at,
            reported_at=time.time(),
            started_at=self._started_at,
            source=table.source,
            overrides=tuple(each.key for each in self._overrides.active),
            spool_bytes=self._spool_bytes,
            dropped=self._writer.dropped,
            rejected_index=self._routing.refused,
            replicas_out=self._channels.out,
            breakers=self._lanes.not_closed(time.perf_counter()),
            caches_off=self._lanes.caches_off(time.time()),
        )

    def overrides(self) -> tuple[Override, ...]:
        """The overrides in force."""
        return self._overrides.active

    def measure(self) -> None:
        """Close the spool while it is over its cap."""
        self._spool_bytes = size_of(self._settings.spool)
        self._writer.full = self._spool_bytes > self._settings.gateway_spool_bytes

    def withdraw(self, override: Override) -> None:
        """Serve the candidate's buckets by its baseline, at once; then write it down."""
        if any(each.key == override.key for each in self._overrides.active):
            return
        self._overrides.add(override)
        self.table = self.table.with_overrides(self._overrides.active)
        log.warning(
            "candidate.withdrawn",
            endpoint=override.endpoint,
            rollout=override.rollout,
            variant=override.variant,
            wealth=override.wealth,
            units=override.units,
        )
        loop = asyncio.get_running_loop()
        saved = loop.run_in_executor(None, self._overrides.save, override)
        self._tasks.add(saved)
        saved.add_done_callback(self._saved)

    def _saved(self, saved: "asyncio.Future[None]") -> None:
        self._tasks.discard(saved)
        if not saved.cancelled() and (error := saved.exception()) is not None:
            log.error("override.not_persisted", error=str(error))

    async def _warm(self, table: Table) -> None:
        """Connect to the variants that are new, so that the swap costs no request anything."""
        known = {endpoint.digest for endpoint in self.table.endpoints.values()}
        fresh = {
            (variant.spec.entry, variant.spec.addresses)
            for endpoint in table.endpoints.values()
            if endpoint.digest not in known
            for variant in endpoint.variants
        }
        seconds = self._settings.gateway_warm_s
        probes = [self._channels.ready(*each, seconds) for each in list(fresh)[:MAX_WARMED]]
        await asyncio.gather(*probes)

    def _seal(self) -> None:
        self._writer.seal()
        loop = asyncio.get_running_loop()
        self._seal_later = loop.call_later(self._settings.gateway_segment_s, self._seal)

    # Routes

    def _handle(self, exchange: Exchange) -> None:
        method, route = self._routes.get(exchange.path, (b"", None))
        try:
            if exchange.headers:
                prepare(exchange, self._settings.gateway_max_body)
            if route is None:
                self._elsewhere(exchange)
                return
            if exchange.method != method and not (method == b"GET" and exchange.method == b"HEAD"):
                raise Refusal(405, "method_not_allowed", f"use {method.decode()}")
            route(exchange)
        except Refusal as refusal:
            self._refuse(exchange, refusal)
        except Exception:  # the last line of defence: one request fails, the process lives
            log.exception("request.failed", path=exchange.path[:64])
            self._refuse(exchange, Refusal(500, "internal", "the gateway failed on this request"))

    def _elsewhere(self, exchange: Exchange) -> None:
        if v2.is_here(exchange.path):
            self._v2.handle(exchange)
        elif exchange.path.endswith(b"/generate_stream"):
            raise Refusal(406, "streaming_not_offered", "answers are whole, not streams")
        else:
            raise Refusal(404, "not_found", "there is nothing here")

    def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        self._path.reject(refusal)
        (v2.refuse if v2.is_here(exchange.path) else refuse)(exchange, refusal)

    def _refuse_http(self, exchange: Exchange, status: int, detail: str) -> None:
        self._refuse(exchange, not_http(status, detail))

    def _outcomes(self, exchange: Exchange) -> None:
        key = authenticate(self.clients, exchange.authorization)
        outcomes = decode_outcomes(exchange.body, key=key, units=self._units)
        if not self._facts.outcomes(outcomes):
            raise Refusal(503, "spool_full", "outcomes cannot be kept now", retry_after=5)
        exchange.respond(202, b'{"accepted":%d}' % len(outcomes))

    def _live(self, exchange: Exchange) -> None:
        exchange.respond(200, b'{"live":true}')

    def _ready(self, exchange: Exchange) -> None:
        self._later(self._answer_ready(exchange))

    def _later(self, answer: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(answer)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_ready(self, exchange: Exchange) -> None:
        problem = await self._unready()
        if problem:
            refuse(exchange, Refusal(503, "not_ready", problem, retry_after=1))
        else:
            exchange.respond(200, b'{"ready":true,"generation":%d}' % self.table.generation)

    async def _model_ready(self, endpoint: Endpoint, version: str) -> bool:
        """Whether a version of the endpoint, or the one asked for, is loaded somewhere."""
        variants = [v for v in served(endpoint) if not version or version in v.names]
        probes = [
            self._channels.ready(v.spec.entry, v.spec.addresses, READY_PROBE_S) for v in variants
        ]
        return any(await asyncio.gather(*probes))

    async def _unready(self) -> str:
        """Why this gateway should get no traffic; empty when it should."""
        if self._http.draining:
            return "the gateway is shutting down"
        if self.table.source == "none":
            return "no routing table is loaded yet"
        addresses = {
            address
            for endpoint in self.table.endpoints.values()
            for variant in endpoint.variants
            for address in variant.spec.addresses
        }
        if addresses and not await self._channels.any_live(addresses, READY_PROBE_S):
            return "no Triton can be reached"
        return ""

    def _render_metrics(self, exchange: Exchange) -> None:
        if self._siblings is None:
            exchange.respond(200, self._figures(), content_type=TEXT)
        else:
            self._later(self._answer_metrics(exchange, self._siblings))

    async def _answer_metrics(self, exchange: Exchange, siblings: Siblings) -> None:
        exchange.respond(200, await siblings.figures(), content_type=TEXT)

    def _figures(self) -> bytes:
        return self._metrics.render(
            self.table,
            spool_bytes=self._spool_bytes,
            dropped=self._writer.dropped,
            connections=len(self._http.connections),
            replicas=self._channels.replicas,
            more=[*self._lanes.families(time.perf_counter()), *self._http.families()],
        )
