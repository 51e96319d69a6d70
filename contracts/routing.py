"""The routing table as it travels from the control plane to the gateways.

A small signed `RoutingIndex` names every endpoint's `EndpointSpec` by digest; specs are
content-addressed, so a gateway fetches and compiles only those it lacks. Both are kept for ever.
"""

import hashlib
from typing import Literal

import msgspec

from contracts.policy import Ensemble, Policy
from contracts.schema import Labelling, ModelSchema

BUCKETS = 10_000
INDEX_PURPOSE = "routing-index"
CLIENTS_PURPOSE = "clients"

INDEX_KEY = "switchyard:routing:index"
SPEC_KEY = "switchyard:routing:spec:"
CHANGED_CHANNEL = "switchyard:routing:changed"
CLIENTS_KEY = "switchyard:clients"
REPORT_KEY = "switchyard:gateway:"
OVERRIDES_KEY = "switchyard:overrides"

VariantRole = Literal["stable", "canary", "arm", "shadow", "fallback", "member"]
UnitKind = Literal["user", "request"]


class BucketRange(msgspec.Struct, frozen=True, array_like=True):
    """Buckets `start <= bucket < stop` of 10,000 belong to the variant with key `variant`."""

    start: int
    stop: int
    variant: str


class VariantSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version in a role, with what is needed to call it.

    `key` is unique in the endpoint ("stable", "canary", "arm-b"); `version` is the registry's
    "flights/2"; `entry` is Triton's model name; `addresses` are where Tritons are
    called: "host:port" for gRPC, or a URL (`contracts.addresses`).
    With an `ensemble` the answer is combined from several variants, this one among them.
    `explainer` is Triton's name of the model that explains this one; empty = none.
    """

    key: str
    role: VariantRole
    version: str
    number: int
    semantic_version: str
    entry: str
    addresses: tuple[str, ...]
    schema: ModelSchema
    labelling: Labelling
    ensemble: Ensemble | None = None
    explainer: str = ""


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What withdraws a candidate locally: an e-process on units at level `alpha`.

    `harm_ratio` is d of the null hypothesis "no worse than d times the baseline".
    """

    rollout: str
    candidate: str
    baseline: str
    kind: Literal["errors"] = "errors"
    alpha: float = 0.01
    harm_ratio: float = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Per-endpoint serving limits; times in milliseconds, sizes in rows.

    Explanations have a deadline and a queue of their own.
    """

    deadline_ms: int = 1_000
    max_batch: int = 32
    max_delay_ms: int = 10
    max_queue: int = 2_048
    explain_deadline_ms: int = 10_000
    explain_queue: int = 8


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a gateway needs to serve one endpoint; immutable, named by its digest.

    `ranges` cover the 10,000 buckets without gap or overlap, in order. `pins` are versions that a
    client may ask for by name and that are loaded (a number or semantic version each).
    """

    name: str
    team: str
    phase: int
    salt: str
    unit_kind: UnitKind
    variants: tuple[VariantSpec, ...]
    ranges: tuple[BucketRange, ...]
    sample_rate: float
    rollout: str = ""
    experiment: str = ""
    guardrails: tuple[Guardrail, ...] = ()
    acknowledged_overrides: tuple[str, ...] = ()
    limits: Limits = Limits()
    policy: Policy = Policy()


class RoutingIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One state of the whole table; `(epoch, generation)` never goes back. `issued_at`: epoch s."""

    epoch: int
    generation: int
    issued_at: float
    endpoints: dict[str, str]


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A caller of the data plane; `key_digests` are SHA-256 hex of its keys.

    `endpoints` empty means every endpoint. `expires_at` of each key, epoch s (0 = never).
    `requests_per_second` 0 = no limit; `burst` requests may come at once (0 = one second's worth).
    `tier` and `budget` (dollars per 1,000 predictions, 0 = any) are what routing rules look at.
    """

    name: str
    team: str
    key_digests: dict[str, float]
    endpoints: tuple[str, ...] = ()
    requests_per_second: float = 0.0
    burst: int = 0
    tier: str = ""
    budget: float = 0.0


class ClientsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All clients, published apart from the routing table and not archived."""

    revision: int
    clients: tuple[Client, ...]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's own withdrawal of a candidate; what was served = generation + overrides."""

    gateway: str
    endpoint: str
    rollout: str
    variant: str
    fallback_to: str
    wealth: float
    units: int
    generation: int
    at: float
    reason: str

    @property
    def key(self) -> str:
        """What the override is keyed by, on every gateway: "(rollout):(variant)"."""
        return f"{self.rollout}:{self.variant}"


class GatewayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway runs, written with a short expiry; its absence means that it is gone.

    `breakers` names variants that are not asked as usual: {"flights/canary": "open"} (endpoint,
    slash, variant key; "open" or "half_open"), those closed are left out. `replicas_out` are the
    "host:port" of model servers that failed their probes and get no rows until they answer again.
    `caches_off` are endpoints whose cache did not pay and is switched off for a while, with the
    share of rows that it had answered (0..1).
    """

    gateway: str
    boot: str
    url: str
    epoch: int
    generation: int
    swapped_at: float
    reported_at: float
    started_at: float
    source: Literal["redis", "disk", "none"]
    overrides: tuple[str, ...]
    spool_bytes: int
    dropped: int
    rejected_index: str = ""
    breakers: dict[str, str] = {}
    replicas_out: tuple[str, ...] = ()
    caches_off: dict[str, float] = {}


def encode_spec(spec: EndpointSpec) -> bytes:
    """Canonical JSON of a spec: equal specs give equal bytes."""
    return msgspec.json.encode(spec, order="deterministic")


def spec_digest(body: bytes) -> str:
    """SHA-256 hex of a spec's bytes, its name in the index."""
    return hashlib.sha256(body).hexdigest()


def decode_spec(body: bytes, *, digest: str) -> EndpointSpec:
    """Read a spec, refusing bytes that are not what the index named (ValueError)."""
    if spec_digest(body) != digest:
        raise ValueError("spec bytes do not match their digest")
    return msgspec.json.decode(body, type=EndpointSpec)
