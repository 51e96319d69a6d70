"""Facts that a gateway states about what it served: four streams in one batch.

A batch is keyed `(gateway, boot, seq)`; whoever ingests it commits that key together with the
aggregates, so each fact counts once however often the batch is delivered.
"""

from typing import Literal

import msgspec

from contracts.outcomes import Outcome

STREAMS_KEY = "switchyard:facts:streams"
STREAM_PREFIX = "switchyard:facts:"
ACKED_KEY = "switchyard:facts:acked"
ENVELOPE_FIELD = "b"
OLDEST_FIELD = "o"  # the lowest number that the gateway has not deleted yet

PREDICTION_BINS = 20
ErrorKind = Literal["model", "timeout", "invalid_output", "unavailable", "overload", "internal"]
FallbackKind = Literal["stale", "variant", "default", "503"]


class Counter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exact counts of one second, endpoint, version, variant and phase.

    `requests` counts answers of every kind that reached assignment (errors included);
    `errors` by ErrorKind. `latency` maps the log-bin index of serving.sketches to its count, for
    successful answers (milliseconds). `predictions` are counts in 20 equal bins of [0, 1]; they,
    their sum and `positives` leave out `fallbacks`, which are not this version's word. An error is
    one that no fallback answered in place of. `fallback_kinds` are the fallbacks by FallbackKind,
    and beside them, as "503", the rows at whose end of the chain nothing could answer.
    `batches`/`batch_rows` describe the micro-batches sent to Triton. `lookup_misses` are rows for
    which the store lacked a feature, `lookup_unread` those for which it was away or late.
    """

    second: int
    endpoint: str
    version: str
    variant: str
    phase: int
    requests: int
    errors: dict[str, int] = {}
    cache_hits: int = 0
    fallbacks: int = 0
    fallback_kinds: dict[str, int] = {}
    pinned: int = 0
    latency: dict[int, int] = {}
    latency_sum_ms: float = 0.0
    predictions: dict[int, int] = {}
    prediction_sum: float = 0.0
    positives: int = 0
    batches: int = 0
    batch_rows: int = 0
    lookup_misses: int = 0
    lookup_unread: int = 0


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Requests refused before assignment (bad input, auth, unknown endpoint), per second.

    Every request counts once in `count`, under the first thing that was wrong with it. `faults`
    counts all that was wrong with `feature` in the way that `reason` says: a request with three
    bad features stands in three of these, and one of them counts it.
    """

    second: int
    endpoint: str
    reason: str
    feature: str
    count: int
    faults: int = 0


class Exposure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First sight of a unit in a phase by this gateway boot. `unit` is the keyed hash."""

    at: float
    endpoint: str
    phase: int
    unit: str
    variant: str
    version: str
    experiment: str = ""
    rollout: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First model-attributable failure of a unit in a rollout, as this gateway saw it.

    `share` is the candidate's bucket share at that moment (0..1).
    """

    at: float
    endpoint: str
    rollout: str
    phase: int
    unit: str
    variant: str
    version: str
    kind: str
    share: float


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sampled prediction. `prediction` is the score, `label` its label.

    `route` names the rule that chose this endpoint where the client asked for `asked`. With
    `shadow_of`, a prediction's id, it is what a shadow said of that request and nobody saw: it
    is no served traffic. `lookup` says that a feature which should have been looked up took its
    default: the store lacked it, or could not be read in time. It is null in `features`.
    `trace` is the id of the caller's trace (W3C Trace Context, hex), where it sent one.
    """

    at: float
    prediction_id: str
    endpoint: str
    version: str
    variant: str
    phase: int
    generation: int
    client: str
    unit: str
    features: dict[str, float | int | bool | str | None]
    prediction: float | None
    label: str
    confidence: float | None
    latency_ms: float
    status: str
    bucket: int = -1
    experiment: str = ""
    rollout: str = ""
    cache_hit: bool = False
    fallback: str = ""
    lookup: Literal["", "missed", "unread"] = ""
    sample_rate: float = 1.0
    route: str = ""
    asked: str = ""
    shadow_of: str = ""
    trace: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A shadow beside what was served: exact sums over the rows of one second and segment.

    `shadow` and `baseline` are versions. `segment` "" is all rows, else "feature=value"; every
    segmenting feature splits all rows anew. `rows` were answered by both; `labelled` of them with
    a label, `agreements` of those with the same. Differences are shadow minus baseline.
    `shift_*` are of scores: sum, sum of squares, and |difference| by log-bin of
    serving.sketches. `timed` rows came from both models (not from a cache); `delay_*` are of the
    milliseconds that the calls took, and the latencies are sketches of those.
    `errors` by kind are the shadow's; `dropped` rows were not mirrored for lack of room.
    """

    second: int
    endpoint: str
    shadow: str
    baseline: str
    segment: str = ""
    rows: int = 0
    labelled: int = 0
    agreements: int = 0
    shift_sum: float = 0.0
    shift_squares: float = 0.0
    shifts: dict[int, int] = {}
    timed: int = 0
    delay_sum_ms: float = 0.0
    delay_squares: float = 0.0
    baseline_latency: dict[int, int] = {}
    shadow_latency: dict[int, int] = {}
    errors: dict[str, int] = {}
    dropped: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One envelope of facts; `dropped` counts rows lost to a full spool before this batch."""

    gateway: str
    boot: str
    seq: int
    sealed_at: float
    counters: tuple[Counter, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    failures: tuple[Failure, ...] = ()
    records: tuple[Record, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    dropped: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """`(gateway, boot, seq)`: the batch's identity."""
        return (self.gateway, self.boot, self.seq)


def encode_batch(batch: Batch) -> bytes:
    """MessagePack bytes of a batch."""
    return msgspec.msgpack.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Read `encode_batch`'s bytes. Raises msgspec.ValidationError on a misfit."""
    return msgspec.msgpack.decode(data, type=Batch)
