"""What travels down the request path: one row to be predicted, and what became of it."""

from collections.abc import Callable

from contracts.records import ErrorKind
from dataplane.gateway.http import Exchange
from dataplane.gateway.table import Endpoint, Variant
from serving.labels import Answer
from serving.validation import Row as Values


class Row:
    """One prediction asked for. Times are time.perf_counter() seconds.

    Assignment makes it; the features come next. After the batch either `answer` and the raw
    `output` are set, or `error` with `detail`; `blamed` is whether an error is this row's own.
    `deliver` sends it to whoever asked.
    """

    __slots__ = (
        *("answer", "blamed", "bucket", "client", "deadline", "deliver", "detail"),
        *("endpoint", "error", "exchange", "flags", "generation", "latency_ms", "output"),
        *("prediction_id", "started", "unit", "values", "variant"),
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
    ) -> None:
        self.endpoint = endpoint
        self.variant = variant
        self.unit = unit
        self.bucket = bucket
        self.client = client
        self.flags = flags
        self.generation = generation
        self.prediction_id = prediction_id
        self.started = started
        self.deadline = started + variant.deadline_s
        self.values: Values = ()
        self.exchange: Exchange | None = None
        self.deliver: Callable[[Row], None] = ignore
        self.answer: Answer | None = None
        self.output = b""
        self.error: ErrorKind | None = None
        self.detail = ""
        self.blamed = False
        self.latency_ms = 0.0

    def fail(self, kind: ErrorKind, detail: str = "", *, blamed: bool = True) -> None:
        """Close the row as failed."""
        self.error, self.detail, self.blamed = kind, detail, blamed


def ignore(_: Row) -> None:
    """Nobody waits for this row."""
