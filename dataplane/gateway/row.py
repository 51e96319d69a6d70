"""What travels down the request path: one row to be predicted, and what became of it."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import TYPE_CHECKING

from contracts.records import ErrorKind
from dataplane.gateway.http import Exchange
from dataplane.gateway.problems import Refusal
from dataplane.gateway.rules import Route
from dataplane.gateway.table import Endpoint, Variant
from dataplane.gateway.trace import Trace
from serving.labels import Answer
from serving.validation import Row as Values

if TYPE_CHECKING:
    from dataplane.gateway.lane import Lane


class Row:
    """One prediction asked for. Times are time.perf_counter() seconds.

    Assignment makes it for a `variant`; the features come next. Then either `answer` and the raw
    `output` are set, or `error` with `detail`. `asked` is the variant that answered or was asked
    last; it differs from the one assigned when `fallback` says "variant:KEY". `fallback` is
    "", "stale", "variant:KEY" or "default". `lane` is that of the variant asked; `home` keeps the
    assigned variant's lane and values while another stands in.

    `failure` is the assigned variant's own failure, kept when a fallback answered; `blamed` is
    whether it is this row's own (not a neighbour's, not an absent server's). `patience` fires when
    the client's own deadline comes before the endpoint's. A `closed` row is recorded and
    answered: whatever comes later is dropped. `deliver` sends it to whoever asked.

    `route` is the rule that chose the endpoint, if one did. `sent_at` is when the model that
    answered was called; 0 where none was.
    """

    __slots__ = (
        *("answer", "asked", "asked_at", "blamed", "bucket", "cache_hit", "cache_key", "client"),
        *("closed", "deadline", "deliver", "detail", "endpoint", "error", "exchange", "failure"),
        *("fallback", "flags", "generation", "home", "lane", "latency_ms", "leads", "output"),
        *("patience", "prediction_id", "probes", "refusal", "route", "sent_at", "started"),
        *("trace", "unit", "user", "values", "variant"),
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        variant: Variant,
        unit: bytes,
        bucket: int,
        client: str,
        flags: int,
        generation: int,
        prediction_id: str,
        started: float,
        user: str | None = None,
        route: Route | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.variant = self.asked = variant
        self.unit = unit
        self.user = user
        self.route = route
        self.bucket = bucket
        self.client = client
        self.flags = flags
        self.generation = generation
        self.prediction_id = prediction_id
        self.started = self.asked_at = started
        self.deadline = started + variant.deadline_s
        self.values: Values = ()
        self.lane: Lane
        self.home: tuple[Lane, Values] | None = None
        self.exchange: Exchange | None = None
        self.trace: Trace | None = None
        self.deliver: Callable[[Row], None] = ignore
        self.patience: TimerHandle | None = None
        self.answer: Answer | None = None
        self.output = b""
        self.error: ErrorKind | None = None
        self.failure: ErrorKind | None = None
        self.refusal: Refusal | None = None
        self.detail = self.fallback = ""
        self.cache_key = b""
        self.blamed = self.cache_hit = self.closed = self.leads = self.probes = False
        self.latency_ms = self.sent_at = 0.0

    def fail(self, kind: ErrorKind, detail: str = "", *, blamed: bool = True) -> None:
        """Say that the variant asked failed. Too late for a row that is closed."""
        if self.closed:
            return
        self.error, self.detail = kind, detail
        if self.asked is self.variant:
            self.failure, self.blamed = kind, blamed


def ignore(_: Row) -> None:
    """Nobody waits for this row."""
