"""The request path from a question to a validated row; `journey` has the rest.

authenticate -> rate limit -> decode -> rules -> assign -> validate -> journey
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from dataplane.gateway.assign import assign
from dataplane.gateway.clients import Clients, Key, authenticate, require_endpoint
from dataplane.gateway.decode import (
    PredictRequest,
    decode_features,
    decode_instances,
    decode_request,
    find_endpoint,
)
from dataplane.gateway.facts import Facts, PredictionIds
from dataplane.gateway.http import Exchange
from dataplane.gateway.journey import Journey, Mirror
from dataplane.gateway.later import Later
from dataplane.gateway.limits import RateLimits, client_timeout
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import Refusal
from dataplane.gateway.respond import deliver, deliver_list, refuse
from dataplane.gateway.row import Row
from dataplane.gateway.rules import Look, Request, Router, RuleSet
from dataplane.gateway.table import Endpoint, Table, Variant
from dataplane.gateway.trace import Trace
from dataplane.gateway.trace import read as read_trace
from dataplane.gateway.units import UnitHasher
from dataplane.gateway.withdraw import Guards
from dataplane.spool import ANONYMOUS, PINNED
from serving.validation import Row as Values

Read = Callable[[Variant], list[Values]]


class Snapshot(Protocol):
    """What is swapped as a whole while requests run."""

    table: Table
    clients: Clients


class Question(NamedTuple):
    """What a client asks for, whatever the protocol. Units and versions as they came in.

    `timeout_s` is how long the client will wait, where it says so. Rules may look at its `size` in
    bytes, and at `features`: JSON, where it came as such.
    """

    model: str
    user_id: str | int | None
    version: str | int | None
    timeout_s: float | None = None
    size: int = 0
    features: msgspec.Raw | None = None
    trace: Trace | None = None


class PredictPath:
    """`predict` takes one row in, `predict_rows` several; `journey` answers them."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        guards: Guards,
        facts: Facts,
        metrics: Metrics,
        units: UnitHasher,
        mirror: Mirror | None = None,
        rates: RateLimits | None = None,
    ) -> None:
        self.journey = Journey(guards=guards, facts=facts, metrics=metrics, mirror=mirror)
        self._snapshot = snapshot
        self._facts = facts
        self._metrics = metrics
        self._units = units
        self._ids = PredictionIds()
        self.later = Later()
        self._rates = rates or RateLimits()
        self._router = Router(metrics.routed)

    def predict(self, exchange: Exchange) -> None:
        """POST /v1/predict."""
        try:
            key = self.admit(exchange.authorization)
            request = decode_request(exchange.body)
            timeout_s = client_timeout(exchange.headers) if exchange.headers else None
            question = Question(
                request.model,
                request.user_id,
                request.version,
                timeout_s,
                len(exchange.body),
                request.features,
                read_trace(exchange.headers) if exchange.headers else None,
            )
            if request.instances:
                self._predict_list(exchange, key, question, request)
                return
            row = self.assigned(key, question, exchange.started)
            row.values = decode_features(request, row.variant)
            row.exchange, row.deliver = exchange, deliver
            self.journey.enter(row, timeout_s)
        except Refusal as refusal:
            self.reject(refusal)
            refuse(exchange, refusal)

    def _predict_list(
        self, exchange: Exchange, key: Key, question: Question, request: PredictRequest
    ) -> None:
        """POST /v1/predict with instances: rows of one unit, answered together."""

        def read(variant: Variant) -> list[Values]:
            return decode_instances(request, variant)

        async def answer() -> None:
            deliver_list(exchange, await self.predict_rows(b"", question, read, key=key))

        self.later.answer(exchange, answer())

    async def predict_rows(
        self,
        authorization: bytes,
        question: Question,
        read: Read,
        *,
        key: Key | None = None,
    ) -> list[Row]:
        """Several rows of one unit; `read` gives them by the schema of the variant assigned.

        Rules look at the first of them, and all go the same way. `key` is that of a client who
        was let in already. Returns the settled rows. Raises Refusal, which is counted here.
        """
        started = time.perf_counter()
        try:
            key = key or self.admit(authorization)
            first = self.assigned(key, question, started, read)
            rows = [self.another(first, values) for values in read(first.variant)]
            self.charge(key, len(rows) - 1)
            return await self._together(rows, question.timeout_s)
        except Refusal as refusal:
            self.reject(refusal)
            raise

    def admit(self, authorization: bytes) -> Key:
        """Who asks, within the client's rate. Raises Refusal 401, 429 or 503.

        Counting the refusal is the caller's.
        """
        key = authenticate(self._snapshot.clients, authorization)
        if key.client.requests_per_second:
            self._rates.admit(key.client, time.monotonic())
        return key

    def charge(self, key: Key, rows: int) -> None:
        """Take so many more rows out of a client's rate, who was let in with one."""
        self._rates.charge(key.client, rows)

    def forget_other_clients(self) -> None:
        """Keep the rates of those clients only that may ask now."""
        self._rates.keep_only(key.client.name for key in self._snapshot.clients.keys.values())

    def reject(self, refusal: Refusal) -> None:
        """Count a request that became no prediction."""
        self._metrics.rejected(refusal)
        self._facts.rejected(refusal, time.time())

    def assigned(
        self, key: Key, question: Question, started: float, read: Read | None = None
    ) -> Row:
        """A row whose variant is decided, still without its features. Raises Refusal."""
        table = self._snapshot.table
        endpoint = find_endpoint(table, question.model)
        require_endpoint(key, question.model)
        route = None
        if endpoint.rules is not None and question.version is None:
            look = _looking(endpoint, endpoint.rules, question, read)
            request = Request(question.size, look)
            endpoint, route = self._router.decide(endpoint.rules, table, endpoint, key, request)
        prediction_id = self._ids.next()
        user = None if question.user_id is None else str(question.user_id)
        anonymous = user is None or endpoint.by_request
        unit = prediction_id if user is None or anonymous else user
        variant, bucket, pinned = assign(endpoint, unit, question.version)
        row = Row(
            endpoint=endpoint,
            variant=variant,
            unit=self._units.passing(unit) if anonymous else self._units.digest(unit),
            bucket=bucket,
            client=key.client.name,
            flags=(ANONYMOUS if anonymous else 0) | (PINNED if pinned else 0),
            generation=table.generation,
            prediction_id=prediction_id,
            started=started,
            user=user,
            route=route,
        )
        row.trace = question.trace
        return row

    def another(self, first: Row, values: Values) -> Row:
        """A row of the same request as `first`."""
        row = Row(
            endpoint=first.endpoint,
            variant=first.variant,
            unit=first.unit,
            bucket=first.bucket,
            client=first.client,
            flags=first.flags,
            generation=first.generation,
            prediction_id=self._ids.next(),
            started=first.started,
            user=first.user,
            route=first.route,
        )
        row.values = values
        row.trace = first.trace
        return row

    async def _together(self, rows: list[Row], timeout_s: float | None) -> list[Row]:
        """Take in rows of one variant and wait for all. Raises Refusal 429 unless all fit."""
        self.journey.lanes.of(rows[0]).batcher.require_room(len(rows))
        waiting = len(rows)
        done: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()

        def settle(_: Row) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting and not done.done():
                done.set_result(rows)

        for row in rows:
            row.deliver = settle
            self.journey.enter(row, timeout_s)
        return await done


def _looking(endpoint: Endpoint, rules: RuleSet, question: Question, read: Read | None) -> Look:
    """How rules see features: by name in JSON, or the first row as the endpoint's schema reads it.

    What does not fit has no features here; the variant's own validation says what is wrong.
    """

    def look(names: Sequence[str]) -> Mapping[str, object]:
        if question.features:
            return rules.read(question.features)
        if read is None:
            return {}
        first = endpoint.variants[0]
        try:
            return first.schema.as_dict(read(first)[0])
        except Refusal:
            return {}

    return look
