"""The routing table as the gateway uses it: immutable, swapped in one assignment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Literal

from contracts.policy import Mirror
from contracts.routing import BUCKETS, EndpointSpec, Guardrail, Override, VariantSpec
from dataplane.gateway.rules import RuleSet, compile_rules
from dataplane.spool import Context
from serving.allocation import AllocationError, compile_ranges
from serving.ensemble import EnsembleError
from serving.ensemble import check as check_ensemble
from serving.labels import Labeller
from serving.lookup import StoredFeatures
from serving.mirroring import MirrorError, Segmenter, Share
from serving.validation import CompiledSchema, compile_schema

Source = Literal["redis", "disk", "none"]
SAMPLE_SPACE = 2**64
UNSERVED_ROLES = frozenset({"shadow"})
_serials = count()


class Variant:
    """One version in one endpoint: its schema and labels, compiled on first use.

    `members` are the variants whose answers an ensemble combines; empty for a single model.
    """

    def __init__(self, spec: VariantSpec, endpoint: EndpointSpec) -> None:
        self.serial = next(_serials)
        self.spec = spec
        self.key = spec.key
        self.endpoint = endpoint.name
        self.rollout = endpoint.rollout
        self.experiment = endpoint.experiment
        self.phase = endpoint.phase
        self.limits = endpoint.limits
        self.policy = endpoint.policy
        self.sample_rate = endpoint.sample_rate
        self.sample_below = int(endpoint.sample_rate * SAMPLE_SPACE)
        self.deadline_s = endpoint.limits.deadline_ms / 1_000
        self.label = spec.semantic_version or str(spec.number)
        self.private = {each.name: each.pii for each in spec.schema.features if each.pii}
        self.names = frozenset({str(spec.number), spec.semantic_version} - {""})
        self.members: tuple[Variant, ...] = ()

    @cached_property
    def stored(self) -> StoredFeatures | None:
        """What is looked up for this version, if it has any of it. Raises SchemaError."""
        lookup = self.policy.lookup
        found = StoredFeatures(self.spec.schema, lookup) if lookup is not None else None
        return found if found and found.names else None

    @cached_property
    def schema(self) -> CompiledSchema:
        """Decoder and packer of the version's features; those looked up may be left out."""
        return self.stored.schema if self.stored else compile_schema(self.spec.schema)

    @cached_property
    def labeller(self) -> Labeller:
        """Reads the version's output."""
        return Labeller(self.spec.schema.output, self.spec.labelling)

    def context(self, number: int) -> Context:
        """What facts about this variant refer to."""
        return Context(
            number=number,
            endpoint=self.endpoint,
            version=self.spec.version,
            variant=self.key,
            phase=self.phase,
            rollout=self.rollout,
            experiment=self.experiment,
            sample_rate=self.sample_rate,
            scored=self.spec.schema.output.kind != "regression",
        )


@dataclass(frozen=True, eq=False)
class Mirrored:
    """A shadow of an endpoint: which units it sees too, and by what the comparison is split.

    `segmenters` are by the key of the variant that served.
    """

    variant: Variant
    share: Share
    segmenters: Mapping[str, Segmenter]
    max_in_flight: int


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A public name: who gets which variant. `owners[bucket]` is an index into `variants`."""

    spec: EndpointSpec
    digest: str
    variants: tuple[Variant, ...]
    designed: bytes
    owners: bytes
    mirrors: tuple[Mirrored, ...] = ()
    rules: RuleSet | None = None
    overrides: tuple[str, ...] = ()

    @cached_property
    def by_request(self) -> bool:
        """Whether each request is a unit of its own."""
        return self.spec.unit_kind == "request"

    def variant(self, key: str) -> Variant | None:
        """The variant with this key."""
        return next((each for each in self.variants if each.key == key), None)

    def share(self, guardrail: Guardrail) -> float:
        """The candidate's share of the buckets that it splits with its baseline, as designed."""
        candidate = self._weight(guardrail.candidate)
        both = candidate + self._weight(guardrail.baseline)
        return candidate / both if both else 0.0

    def _weight(self, key: str) -> int:
        return sum(item.stop - item.start for item in self.spec.ranges if item.variant == key)

    def with_overrides(self, overrides: Iterable[Override]) -> "Endpoint":
        """This endpoint with withdrawn candidates' buckets served by what replaces them."""
        owners, applied = self.designed, []
        for override in overrides:
            if not self.is_bound_by(override) or not self._can_apply(override):
                continue
            keys = [variant.key for variant in self.variants]
            source, target = keys.index(override.variant), keys.index(override.fallback_to)
            owners = owners.translate(bytes(target if i == source else i for i in range(256)))
            applied.append(override.key)
        return replace(self, owners=owners, overrides=tuple(applied))

    def is_bound_by(self, override: Override) -> bool:
        """Whether the override speaks of this endpoint's rollout and is not acknowledged yet."""
        return (
            override.endpoint == self.spec.name
            and override.rollout in rollouts_of(self.spec)
            and override.key not in self.spec.acknowledged_overrides
        )

    def _can_apply(self, override: Override) -> bool:
        keys = {variant.key for variant in self.variants}
        return {override.variant, override.fallback_to} <= keys


def rollouts_of(spec: EndpointSpec) -> frozenset[str]:
    """The rollouts that a spec is part of."""
    return frozenset({spec.rollout, *(each.rollout for each in spec.guardrails)} - {""})


def compile_endpoint(spec: EndpointSpec, digest: str) -> Endpoint:
    """The usable form of a spec.

    Raises ValueError: AllocationError for impossible ranges, EnsembleError, MirrorError and
    RuleError for policies that say nothing that could be done.
    """
    if len(spec.variants) > 256:
        raise AllocationError("an endpoint has at most 256 variants")
    variants = tuple(Variant(each, spec) for each in spec.variants)
    owners = bytes(compile_ranges(spec.ranges, [variant.key for variant in variants]))
    if len(owners) != BUCKETS:
        raise AllocationError("the ranges do not cover the buckets")
    by_key = {variant.key: variant for variant in variants}
    for variant in variants:
        variant.members = _members(variant, by_key)
    mirrors = tuple(_mirrored(each, spec.name, by_key) for each in spec.policy.mirrors)
    rules = compile_rules(spec.policy.rules)
    return Endpoint(spec, digest, variants, owners, owners, mirrors, rules)


def _members(variant: Variant, variants: Mapping[str, Variant]) -> tuple[Variant, ...]:
    """The variants that an ensemble is made of. Raises EnsembleError."""
    ensemble, spec = variant.spec.ensemble, variant.spec
    if ensemble is None:
        return ()
    unknown = [key for key in ensemble.members if key not in variants]
    if unknown:
        raise EnsembleError(f"member {unknown[0]!r} is no variant of the endpoint")
    members = tuple(variants[key] for key in ensemble.members)
    for member in members:
        if member.spec.ensemble is not None and member is not variant:
            raise EnsembleError(f"member {member.key!r} is an ensemble itself")
        if _inputs(member.spec) != _inputs(spec):
            raise EnsembleError(f"member {member.key!r} takes other features than {spec.key!r}")
    outputs = [(member.spec.schema.output, member.spec.labelling) for member in members]
    check_ensemble(ensemble, spec.schema.output, spec.labelling, outputs)
    return members


def _inputs(spec: VariantSpec) -> dict[str, tuple[object, ...]]:
    """What a row must have, whatever its order; ranges are checked by the ensemble's own schema."""
    return {
        each.name: (each.kind, each.required, each.nullable, each.categories)
        for each in spec.schema.features
    }


def _mirrored(mirror: Mirror, endpoint: str, variants: Mapping[str, Variant]) -> Mirrored:
    """Raises MirrorError."""
    shadow = variants.get(mirror.variant)
    if shadow is None:
        raise MirrorError(f"mirror {mirror.variant!r} is no variant of the endpoint")
    segmenters = {
        key: Segmenter(mirror.segments, each.spec.schema)
        for key, each in variants.items()
        if each.spec.role not in UNSERVED_ROLES
    }
    return Mirrored(shadow, Share(mirror, endpoint), segmenters, mirror.max_in_flight)


@dataclass(frozen=True)
class Table:
    """One state of the whole table, with this gateway's overrides applied."""

    epoch: int = 0
    generation: int = 0
    source: Source = "none"
    swapped_at: float = 0.0
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int]:
        """What may never go back."""
        return (self.epoch, self.generation)

    def with_overrides(self, overrides: Iterable[Override]) -> "Table":
        """This table under another set of overrides; only the endpoints concerned are touched."""
        by_endpoint: dict[str, list[Override]] = {}
        for override in overrides:
            by_endpoint.setdefault(override.endpoint, []).append(override)
        changed = {
            name: endpoint.with_overrides(by_endpoint.get(name, ()))
            for name, endpoint in self.endpoints.items()
            if name in by_endpoint or endpoint.overrides
        }
        return replace(self, endpoints={**self.endpoints, **changed}) if changed else self
