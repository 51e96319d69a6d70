"""An ensemble in place of one model: a row is asked of every member, and their answers combined.

The members' batches are their own: nothing here is counted as a request to a member. A member
that fails makes the row fail with its kind; what stands behind the ensemble takes over then.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Protocol

from dataplane.gateway.batching import Call, Finish, Queue
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from serving.ensemble import Combiner
from serving.validation import Row as Values

Reorder = Callable[[Values], Values]


class Make(Protocol):
    """Makes the queue of a variant's own model."""

    def __call__(self, variant: Variant, finish: Finish) -> Queue:
        """`finish` gets each micro-batch when all its rows are settled."""


class Part(Row):
    """A row as one member gets it."""

    __slots__ = ("whole",)
    whole: "Whole"


class Whole:
    """A row of the ensemble, its parts in the order of the members, and how many are under way."""

    __slots__ = ("left", "parts", "row")

    def __init__(self, row: Row, parts: list[Part]) -> None:
        self.row = row
        self.parts = parts
        self.left = len(parts)

    @property
    def failed(self) -> Part | None:
        """The first part without an answer."""
        return next((part for part in self.parts if part.answer is None), None)


class EnsembleBatcher:
    """The queue of an ensemble. Raises SchemaError, and EnsembleError for what cannot combine."""

    def __init__(self, variant: Variant, *, make: Make, finish: Finish) -> None:
        spec = variant.spec
        assert spec.ensemble is not None  # noqa: S101 - it has members
        outputs = [(each.spec.schema.output, each.spec.labelling) for each in variant.members]
        self._combiner = Combiner(spec.ensemble, spec.schema.output, spec.labelling, outputs)
        self._members = [
            (member, make(member, self._part_settled), _reorder(variant, member))
            for member in variant.members
        ]
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._done: list[Whole] = []
        self._calls = self._rows_sent = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._under_way

    def require_room(self, rows: int) -> None:
        """Raise Refusal 429 unless every member has room for so many more rows."""
        for _, queue, _ in self._members:
            queue.require_room(rows)

    def submit(self, row: Row) -> None:
        """Ask every member. Raises Refusal 429 when one of their queues is full."""
        self.require_room(1)
        row.sent_at = time.perf_counter()
        parts = [_part(row, member, reorder) for member, _, reorder in self._members]
        whole = Whole(row, parts)
        self._under_way += 1
        for part, (_, queue, _) in zip(parts, self._members, strict=True):
            part.whole = whole
            queue.submit(part)

    def _part_settled(self, call: Call) -> None:
        self._calls += call.calls
        self._rows_sent += call.rows_sent
        for part in call.rows:
            if isinstance(part, Part):
                part.whole.left -= 1
                if not part.whole.left:
                    self._settle_soon(part.whole)

    def _settle_soon(self, whole: Whole) -> None:
        """Combine it together with the others that are done in this turn of the event loop."""
        self._done.append(whole)
        if len(self._done) == 1:
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        done, self._done = self._done, []
        self._under_way -= len(done)
        done = [whole for whole in done if not whole.row.closed]
        for whole in done:
            if (part := whole.failed) is not None:
                detail = f"member {part.variant.key}: {part.detail}"
                whole.row.fail(part.error or "internal", detail, blamed=part.blamed)
        self._combine([whole for whole in done if whole.failed is None])
        call = Call([whole.row for whole in done])
        call.calls, call.rows_sent = self._calls, self._rows_sent
        self._calls = self._rows_sent = 0
        self._finish(call)

    def _combine(self, wholes: Sequence[Whole]) -> None:
        if not wholes:
            return
        raws = [
            b"".join(whole.parts[number].output for whole in wholes)
            for number in range(len(self._members))
        ]
        raw, answers = self._combiner.combine(raws, len(wholes))
        size = len(raw) // len(wholes)
        for at, (whole, answer) in enumerate(zip(wholes, answers, strict=True)):
            whole.row.answer = answer
            whole.row.output = raw[at * size : at * size + size]
            if answer is None:
                whole.row.fail("invalid_output", "the members' answers make no valid prediction")


def _part(row: Row, member: Variant, reorder: Reorder) -> Part:
    part = Part(
        endpoint=row.endpoint,
        variant=member,
        unit=row.unit,
        bucket=row.bucket,
        client=row.client,
        flags=row.flags,
        generation=row.generation,
        prediction_id=row.prediction_id,
        started=row.started,
        user=row.user,
    )
    part.deadline = row.deadline
    part.patience = row.patience
    part.values = reorder(row.values)
    return part


def _reorder(source: Variant, target: Variant) -> Reorder:
    """From the order of one schema's features to that of another with the same ones."""
    names = source.schema.names
    if target.schema.names == names:
        return _as_it_is
    places = [names.index(name) for name in target.schema.names]
    return itemgetter(*places)


def _as_it_is(values: Values) -> Values:
    return values
