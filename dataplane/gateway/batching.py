"""Step 4 of the request path: adaptive micro-batches, one queue per variant.

An idle Triton is called at once: with whatever arrived in this turn of the event loop, or, where
rows have been coming one at a time, with the row itself before the turn is over. While a call is
under way rows wait: for a full batch, for the end of that call, or for `max_delay_ms`, whichever
comes first. No row is sent past its deadline.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from dataplane.gateway.problems import Refusal
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from dataplane.gateway.trace import of_batch
from dataplane.gateway.triton import CallFailed, Model
from serving.labels import InvalidOutput

ALONE_AT_ONCE = 8
MINIMUM_TIMEOUT_S = 0.001


class Call:
    """What one micro-batch cost: `calls` to Triton carrying `rows_sent` rows.

    `asked` is the variant that they were asked of; None for rows answered without any call.
    """

    __slots__ = ("asked", "calls", "rows", "rows_sent")

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.asked = rows[0].asked if rows else None
        self.calls = 0
        self.rows_sent = 0


class Queue(Protocol):
    """What rows of one variant are handed to."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""

    def require_room(self, rows: int) -> None:
        """Raise Refusal 429 unless so many more rows may wait here."""

    def submit(self, row: Row) -> None:
        """Take a row in; `finish` has it when it is settled. Raises Refusal 429 when full."""


class Sent(NamedTuple):
    """Rows on their way to Triton since `at`, time.perf_counter(); awaiting raises CallFailed."""

    rows: Sequence[Row]
    at: float
    outputs: Awaitable[bytes]


Finish = Callable[[Call], None]
Prepare = Callable[[Sequence[Row]], Awaitable[None]]


class Batcher:
    """The queue of one variant; `finish` gets each micro-batch when all its rows are settled.

    `prepare` completes the rows of a micro-batch before Triton is asked; it keeps to a budget of
    its own and never raises.
    """

    def __init__(
        self,
        variant: Variant,
        model: Model,
        *,
        finish: Finish,
        max_in_flight: int,
        prepare: Prepare | None = None,
    ) -> None:
        self._prepare = prepare
        self._model = model
        self._labeller = variant.labeller
        self._finish = finish
        self._endpoint = variant.endpoint
        self._max_batch = variant.limits.max_batch
        self._max_delay_s = variant.limits.max_delay_ms / 1_000
        self._max_queue = variant.limits.max_queue
        self._max_in_flight = max_in_flight
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Row] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._soon = False
        self._single = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._queue and not self._tasks

    def require_room(self, rows: int) -> None:
        """Raise Refusal 429 unless so many more rows may wait here; several then go together."""
        if rows > 1:
            self._single = False
        if len(self._queue) + rows > self._max_queue:
            raise Refusal(
                429,
                "overload",
                "too many requests are waiting for this model",
                endpoint=self._endpoint,
                retry_after=1,
            )

    def submit(self, row: Row) -> None:
        """Queue a row. Raises Refusal 429 when the queue is full."""
        queue = self._queue
        if len(queue) >= self._max_queue:
            self.require_room(1)
        queue.append(row)
        if not self._tasks or len(queue) >= self._max_batch:
            if self._single and not self._tasks:
                self._send()
            elif not self._soon:
                self._soon = True
                self._loop.call_soon(self._pump)
        elif self._timer is None:
            self._timer = self._loop.call_later(self._max_delay_s, self._late)

    def _late(self) -> None:
        """The oldest row has waited long enough."""
        self._timer = None
        if self._queue and len(self._tasks) < self._max_in_flight:
            self._send()
        self._pump()

    def _pump(self) -> None:
        """Start the calls that are due."""
        self._soon = False
        queue, tasks = self._queue, self._tasks
        while queue and (
            not tasks or (len(queue) >= self._max_batch and len(tasks) < self._max_in_flight)
        ):
            self._send()
        if queue and self._timer is None and len(tasks) < self._max_in_flight:
            waited = time.perf_counter() - queue[0].started
            self._timer = self._loop.call_later(max(0.0, self._max_delay_s - waited), self._late)

    def _send(self) -> None:
        """Send a micro-batch now; its task takes it from there while Triton works."""
        rows = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
        call = Call(rows)
        self._single = len(rows) == 1
        sending: list[Sent] = []
        task = self._loop.create_task(self._run(call, sending))
        self._tasks.add(task)
        if self._prepare is None and (in_time := _still_in_time(rows)):
            sending.append(self._sent(call, in_time))

    async def _run(self, call: Call, sending: list[Sent]) -> None:
        try:
            await self._settle(call, sending)
        finally:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - for the type checker
            self._tasks.discard(task)
            if self._queue:
                self._send()
            self._pump()
            self._finish(call)

    async def _settle(self, call: Call, sending: list[Sent]) -> None:
        """Give every row an answer or an error."""
        sent = sending[0] if sending else await self._prepared(call)
        if sent is None:
            return
        try:
            await self._read(sent)
        except CallFailed as failure:
            rows = sent.rows
            if failure.kind == "timeout":
                rows = _cut_off(rows, failure)
            if len(rows) > 1 and failure.kind != "unavailable":
                await self._one_by_one(call, rows)
            else:
                _fail(rows, failure)

    async def _prepared(self, call: Call) -> Sent | None:
        """Send what is still in time when everything is there that it needs."""
        rows = _still_in_time(call.rows)
        if rows and self._prepare is not None:
            await self._prepare(rows)
            rows = _still_in_time(rows)
        return self._sent(call, rows) if rows else None

    async def _one_by_one(self, call: Call, rows: Sequence[Row]) -> None:
        """A failed batch tells nothing about its rows: ask for each, so that each fails alone."""
        for at in range(0, len(rows), ALONE_AT_ONCE):
            group = _still_in_time(rows[at : at + ALONE_AT_ONCE])
            await asyncio.gather(*(self._alone(call, row) for row in group))

    async def _alone(self, call: Call, row: Row) -> None:
        try:
            await self._read(self._sent(call, [row]))
        except CallFailed as failure:
            _fail([row], failure)

    def _sent(self, call: Call, rows: Sequence[Row]) -> Sent:
        """Ask Triton."""
        call.calls += 1
        call.rows_sent += len(rows)
        at = time.perf_counter()
        timeout = max(_deadline(rows) - at, MINIMUM_TIMEOUT_S)
        values = [row.values for row in rows]
        return Sent(rows, at, self._model.infer(values, timeout, of_batch(rows)))

    async def _read(self, sent: Sent) -> None:
        """Its answers. Raises CallFailed when they say nothing about any single row."""
        raw, rows = await sent.outputs, sent.rows
        try:
            answers = self._labeller.read(raw, len(rows))
        except InvalidOutput as error:
            raise CallFailed("invalid_output", str(error)) from error
        size = len(raw) // len(rows)
        for at, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            if row.closed:
                continue
            row.answer = answer
            row.sent_at = sent.at
            row.output = raw[at * size : at * size + size]
            if answer is None:
                row.fail("invalid_output", "the model's output is not a valid prediction")


def _deadline(rows: Sequence[Row]) -> float:
    """When a call is cut off: one impatient client must not cut off its neighbours' answers."""
    patient = [row.deadline for row in rows if row.patience is None]
    return min(patient) if patient else max(row.deadline for row in rows)


def _still_in_time(rows: Sequence[Row]) -> list[Row]:
    """Close what is past its deadline: it waited here, so it is nobody's blame but ours."""
    now = time.perf_counter()
    late = [row for row in rows if row.deadline <= now]
    for row in late:
        row.fail("overload", "the deadline passed in the queue", blamed=False)
    return [row for row in rows if row.error is None and not row.closed]


def _cut_off(rows: Sequence[Row], failure: CallFailed) -> list[Row]:
    """Close the rows whose deadline cut the call off; the others may still be asked for."""
    now = time.perf_counter()
    _fail([row for row in rows if row.deadline <= now], failure)
    return [row for row in rows if row.error is None and not row.closed]


def _fail(rows: Sequence[Row], failure: CallFailed) -> None:
    for row in rows:
        row.fail(failure.kind, failure.detail, blamed=failure.kind != "unavailable")
