"""The request path, top to bottom.

authenticate -> decode and validate -> assign -> batch -> Triton -> record -> respond
"""

import time
from typing import Protocol

import structlog

from dataplane.gateway.assign import assign
from dataplane.gateway.batching import Batchers, Call
from dataplane.gateway.clients import Clients, Key, authenticate, require_endpoint
from dataplane.gateway.decode import PredictRequest, decode_features, decode_request, find_endpoint
from dataplane.gateway.facts import Facts, PredictionIds
from dataplane.gateway.http import Exchange
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import Refusal
from dataplane.gateway.respond import deliver, refuse
from dataplane.gateway.row import Row
from dataplane.gateway.table import Table
from dataplane.gateway.units import UnitHasher
from dataplane.gateway.withdraw import Guards
from dataplane.spool import ANONYMOUS, PINNED

log = structlog.get_logger()


class Snapshot(Protocol):
    """What is swapped as a whole while requests run."""

    table: Table
    clients: Clients


class PredictPath:
    """`predict` takes a request in; `settled` is where its micro-batch comes out."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        guards: Guards,
        facts: Facts,
        metrics: Metrics,
        units: UnitHasher,
    ) -> None:
        self._snapshot = snapshot
        self._guards = guards
        self._facts = facts
        self._metrics = metrics
        self._units = units
        self._ids = PredictionIds()
        self.batchers: Batchers

    def predict(self, exchange: Exchange) -> None:
        """POST /v1/predict."""
        try:
            key = authenticate(self._snapshot.clients, exchange.authorization)
            request = decode_request(exchange.body)
            row = self._row(key, request, exchange)
            self.batchers.of(row.variant).submit(row)
        except Refusal as refusal:
            self.reject(refusal)
            refuse(exchange, refusal)

    def settled(self, call: Call) -> None:
        """Every row has its answer or its error: write down what happened, then say it."""
        now, at = time.perf_counter(), time.time()
        for row in call.rows:
            row.latency_ms = (now - row.started) * 1_000
            if row.answer is None and row.error is None:
                row.fail("internal", blamed=False)
        failures = self._guards.observe(call.rows, at)
        self._facts.answered(call, at, failures)
        self._metrics.answered(call)
        for row in call.rows:
            row.deliver(row)

    def reject(self, refusal: Refusal) -> None:
        """Count a request that became no prediction."""
        self._metrics.rejected(refusal.endpoint, refusal.reason)
        self._facts.rejected(
            at=time.time(),
            endpoint=refusal.endpoint,
            reason=refusal.reason,
            feature=refusal.feature,
        )

    def _row(self, key: Key, request: PredictRequest, exchange: Exchange) -> Row:
        table = self._snapshot.table
        endpoint = find_endpoint(table, request.model)
        require_endpoint(key, request.model)
        prediction_id = self._ids.next()
        flags = 0
        if request.user_id is None or endpoint.by_request:
            unit, flags = prediction_id, ANONYMOUS
        else:
            unit = str(request.user_id)
        variant, bucket, pinned = assign(endpoint, unit, request.version)
        return Row(
            endpoint=endpoint,
            variant=variant,
            values=decode_features(request, variant),
            unit=self._units.digest(unit) if not flags else self._units.passing(unit),
            bucket=bucket,
            client=key.client.name,
            flags=flags | PINNED if pinned else flags,
            generation=table.generation,
            prediction_id=prediction_id,
            started=exchange.started,
            deliver=deliver,
            exchange=exchange,
        )
