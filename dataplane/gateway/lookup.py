"""Before a micro-batch is packed: features that the store knows and the client did not send.

One pipelined read for all units of the batch, within the endpoint's budget. Whatever is not there
in time, or does not fit the schema, takes its default when the row is packed; it is counted and
marked on the row. Unit ids go to the store as they came in, and nowhere else.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from hiredis import ReplyError

from contracts.policy import Lookup
from dataplane.gateway.batching import Prepare
from dataplane.gateway.row import Row
from dataplane.gateway.store import Store, Unread, bulk
from dataplane.gateway.table import Table, Variant
from dataplane.spool import LOOKUP_MISSED, LOOKUP_UNREAD
from serving.lookup import StoredFeatures
from serving.validation import Value

Result = Literal["hit", "miss", "away", "late"]
Count = Callable[[str, Result], None]


class FeatureLookup:
    """What one version of one endpoint asks the store for."""

    def __init__(
        self, features: StoredFeatures, lookup: Lookup, *, store: Store, count: Count
    ) -> None:
        self._features = features
        self._store = store
        self._count = count
        self._budget_s = lookup.budget_ms / 1_000
        self._prefix = lookup.prefix.encode()
        names = [name.encode() for name in features.names]
        self._head = b"*%d\r\n" % (2 + len(names)) + bulk(b"HMGET")
        self._tail = b"".join(map(bulk, names))

    async def fill(self, rows: Sequence[Row]) -> None:
        """Complete the rows in place. Never raises, and never takes longer than the budget."""
        lacking = [row for row in rows if self._features.lacks(row.values)]
        if not lacking:
            return
        units = list(dict.fromkeys(row.user for row in lacking if row.user is not None))
        try:
            found = await self._read(units) if units else {}
        except Unread as unread:
            for row in lacking:
                row.flags |= LOOKUP_UNREAD
                self._count(row.variant.endpoint, unread.reason)
            return
        for row in lacking:
            complete = self._complete(row, found.get(row.user or ""))
            self._count(row.variant.endpoint, "hit" if complete else "miss")

    async def _read(self, units: Sequence[str]) -> dict[str, tuple[Value, ...]]:
        """What the store has of each unit. Raises Unread."""
        commands = b"".join(self._command(unit) for unit in units)
        replies = await self._store.read(commands, len(units), self._budget_s)
        if any(map(_is_refusal, replies)):
            raise Unread("away")
        return {
            unit: self._features.read(reply)
            for unit, reply in zip(units, replies, strict=True)
            if isinstance(reply, list)
        }

    def _command(self, unit: str) -> bytes:
        return self._head + bulk(self._prefix + unit.encode()) + self._tail

    def _complete(self, row: Row, found: tuple[Value, ...] | None) -> bool:
        if found is None:
            complete = False
        else:
            row.values, complete = self._features.merged(row.values, found)
        if not complete:
            row.flags |= LOOKUP_MISSED
        return complete


def _is_refusal(reply: object) -> bool:
    """An error that is not about the key: loading, out of memory, no permission."""
    return isinstance(reply, ReplyError) and not str(reply).startswith("WRONGTYPE")


class Lookups:
    """Makes the lookups of all endpoints, which share one connection to the store."""

    def __init__(self, store: Store, *, count: Count) -> None:
        self._store = store
        self._count = count

    def preparing(self, variant: Variant) -> Prepare | None:
        """What completes the rows of this variant; None when there is nothing to look up."""
        features, lookup = variant.stored, variant.policy.lookup
        if features is None or lookup is None:
            return None
        return FeatureLookup(features, lookup, store=self._store, count=self._count).fill

    async def warm(self, table: Table, seconds: float) -> None:
        """Connect, so that the first request finds the store, if anything is looked up."""
        if any(each.spec.policy.lookup is not None for each in table.endpoints.values()):
            await self._store.ready(seconds)

    def close(self) -> None:
        """Stop at once."""
        self._store.close()
