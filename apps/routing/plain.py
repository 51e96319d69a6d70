"""What the compiler is told: plain facts, free of Django."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.policy import Ensemble, Policy
from contracts.routing import BucketRange, Guardrail, Limits, UnitKind, VariantRole
from contracts.schema import Labelling, ModelSchema

SHADOW = "shadow"
MEMBER = "member"


@dataclass(frozen=True, kw_only=True)
class BackendFacts:
    """Where a version answers: Triton's name for it, and "host:port" of each server.

    `explainer` is Triton's name of what explains it; empty = nothing does.
    """

    entry: str
    addresses: tuple[str, ...]
    explainer: str = ""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """What the compiler must know of a version.

    `may_serve`: its stage allows all traffic; `may_shadow`: at least mirrored traffic.
    """

    key: str
    number: int
    semantic_version: str
    may_serve: bool
    may_shadow: bool
    schema: ModelSchema
    labelling: Labelling
    backend: BackendFacts | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that it may answer; a regression has the empty one alone."""
        output = self.schema.output
        if output.kind == "regression":
            return ("",)
        classes = 2 if output.kind == "binary" else output.width
        return tuple(self.labelling.labels.get(str(index), str(index)) for index in range(classes))


@dataclass(frozen=True, kw_only=True)
class VariantFacts:
    """A version in a role; `weight` in buckets of 10,000."""

    key: str
    role: VariantRole
    version: VersionFacts
    weight: int
    ensemble: Ensemble | None = None


@dataclass(frozen=True)
class TargetFacts:
    """An endpoint that a rule sends requests to; `routed`: it serves something."""

    team: str
    routed: bool


@dataclass(frozen=True, kw_only=True)
class EndpointFacts:
    """What stays the same from phase to phase; `targets` are the endpoints that rules name."""

    name: str
    team: str
    unit_kind: UnitKind
    sample_rate: float
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    targets: Mapping[str, TargetFacts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PhaseFacts:
    """What stays the same for one stretch of time."""

    number: int
    salt: str
    variants: tuple[VariantFacts, ...]
    ranges: tuple[BucketRange, ...]
    rollout: str = ""
    experiment: str = ""
    guardrails: tuple[Guardrail, ...] = ()
