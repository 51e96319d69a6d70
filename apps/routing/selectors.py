"""Reads over several models: who got what and why, what changed, who runs what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.events.errors import NotFound
from apps.registry.models import ModelVersion
from apps.routing.compiler import moves
from apps.routing.models import (
    Backend,
    Endpoint,
    GatewayReport,
    Generation,
    Override,
    Phase,
    Position,
    Spec,
)
from apps.routing.models import GatewayState as State
from contracts.routing import EndpointSpec, RoutingIndex, decode_spec
from serving import allocation


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Which version a unit was given, by design, and why.

    `overrides` are withdrawals by single gateways that were in force then, "(gateway)" each: their
    users were served by what replaced the candidate. `bucket` is of 10,000.
    """

    endpoint: str
    unit: str
    at: datetime
    variant: str
    role: str
    version: str
    bucket: int
    phase: int
    epoch: int
    generation: int
    share: int
    reason: str
    actor_key: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GatewayState:
    """One gateway of the fleet; `behind` in generations, `silent` since it was last seen."""

    name: str
    url: str
    state: str
    epoch: int
    generation: int
    behind: int
    source: str
    refused: str
    overrides: tuple[str, ...]
    breakers: Mapping[str, str]
    replicas_out: tuple[str, ...]
    caches_off: Mapping[str, float]
    spool_bytes: int
    dropped: int
    swapped_at: datetime | None
    started_at: datetime
    seen_at: datetime
    silent: timedelta


@dataclass(frozen=True, kw_only=True)
class EndpointChange:
    """What an endpoint was and became between two states of the table.

    `weights` map variant keys to buckets, `versions` to version keys; `fields` are those of the
    specification that differ. `moved` is None when the salt differs: then users moved whatever
    the buckets say.
    """

    name: str
    before: EndpointSpec | None
    after: EndpointSpec | None
    weights: tuple[Mapping[str, int], Mapping[str, int]]
    versions: tuple[Mapping[str, str], Mapping[str, str]]
    fields: tuple[str, ...]
    moved: int | None


def get_endpoint(name: str) -> Endpoint:
    """The endpoint of that name, with its team and model. Raises NotFound."""
    found = Endpoint.objects.select_related("team", "model").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no endpoint {name!r}", field="endpoint")
    return found


def get_generation(number: int, *, epoch: int | None = None) -> Generation:
    """A generation by number, of the newest epoch that has it. Raises NotFound."""
    rows = Generation.objects.filter(number=number)
    found = (rows if epoch is None else rows.filter(epoch=epoch)).order_by("-epoch").first()
    if found is None:
        raise NotFound(f"there is no generation {number}", field="generation")
    return found


def backend_of(version: ModelVersion) -> Backend | None:
    """Where the version answers, if anywhere."""
    return Backend.objects.filter(version=version, state="ready").first()


def assignment(endpoint: Endpoint, unit: str, at: datetime) -> Assignment:
    """Which version `unit` (as clients send it) was assigned at `at`, and why.

    Raises NotFound for a moment before the first allocation, and for endpoints on which each
    request is a unit of its own.
    """
    if endpoint.unit_kind != "user":
        raise NotFound(f"on {endpoint.name} each request is assigned by itself", field="unit")
    generation = (
        endpoint.generations.select_related("phase")
        .filter(issued_at__lte=at)
        .order_by("-epoch", "-number")
        .first()
    )
    if generation is None:
        raise NotFound(f"endpoint {endpoint.name} served nothing at that time", field="at")
    return _assignment(endpoint, unit, at, generation)


def _assignment(endpoint: Endpoint, unit: str, at: datetime, generation: Generation) -> Assignment:
    phase = generation.phase
    bucket = allocation.bucket_of(phase.salt, unit)
    key = allocation.variant_at(phase.allocation(), bucket)
    variant = next(item for item in phase.variants if item["key"] == key)
    return Assignment(
        endpoint=endpoint.name,
        unit=unit,
        at=at,
        variant=key,
        role=variant["role"],
        version=variant["version"],
        bucket=bucket,
        phase=phase.number,
        epoch=generation.epoch,
        generation=generation.number,
        share=variant["weight"],
        reason=phase.reason,
        actor_key=phase.actor_key,
        overrides=tuple(_withdrawn(endpoint, phase, key, at).values_list("gateway", flat=True)),
    )


def _withdrawn(endpoint: Endpoint, phase: Phase, key: str, at: datetime) -> QuerySet[Override]:
    return Override.objects.filter(
        Q(acknowledged_at__isnull=True) | Q(acknowledged_at__gt=at),
        endpoint=endpoint,
        rollout_key=phase.rollout_key,
        variant=key,
        withdrawn_at__lte=at,
    ).order_by("gateway")


def fleet(*, now: datetime | None = None) -> list[GatewayState]:
    """Every gateway that ever reported, with how far it is behind."""
    now = now or timezone.now()
    position = Position.objects.first()
    newest = position.generation if position else 0
    return [_gateway(row, newest=newest, now=now) for row in GatewayReport.objects.all()]


def _gateway(row: GatewayReport, *, newest: int, now: datetime) -> GatewayState:
    return GatewayState(
        name=row.gateway,
        url=row.url,
        state=row.state,
        epoch=row.epoch,
        generation=row.generation,
        behind=max(newest - row.generation, 0),
        source=row.source,
        refused=row.rejected_index,
        overrides=tuple(row.overrides),
        breakers=row.breakers,
        replicas_out=tuple(row.replicas_out),
        caches_off=row.caches_off,
        spool_bytes=row.spool_bytes,
        dropped=row.dropped,
        swapped_at=row.swapped_at,
        started_at=row.started_at,
        seen_at=row.seen_at,
        silent=max(now - row.seen_at, timedelta()),
    )


@dataclass(frozen=True)
class Trouble:
    """What one gateway holds against a variant or a model server of an endpoint."""

    gateway: str
    subject: str
    state: str


def troubles_of(endpoint: Endpoint) -> list[Trouble]:
    """Breakers that are not closed, model servers out of rotation and caches switched off, by live
    gateways."""
    rows = list(GatewayReport.objects.exclude(state=State.GONE.value))
    start = f"{endpoint.name}/"
    found = [
        Trouble(row.gateway, key.removeprefix(start), f"breaker {state}")
        for row in rows
        for key, state in sorted(row.breakers.items())
        if key.startswith(start)
    ]
    found += [
        Trouble(
            row.gateway,
            f"cache: {100 * row.caches_off[endpoint.name]:.1f} % of rows were hits",
            "off",
        )
        for row in rows
        if endpoint.name in row.caches_off
    ]
    if any(row.replicas_out for row in rows):
        mine = _addresses(endpoint)
        found += [
            Trouble(row.gateway, address, "server out")
            for row in rows
            for address in row.replicas_out
            if address in mine
        ]
    return found


def _addresses(endpoint: Endpoint) -> set[str]:
    phase = endpoint.phase
    versions = [variant["version_id"] for variant in phase.variants] if phase else []
    backends = Backend.objects.filter(version_id__in=versions)
    return {address for backend in backends for address in backend.addresses}


def index_at(epoch: int, number: int) -> RoutingIndex:
    """The whole table as it was at a generation, from the archive."""
    rows = (
        Generation.objects.filter(Q(epoch__lt=epoch) | Q(epoch=epoch, number__lte=number))
        .order_by("endpoint_id", "-epoch", "-number")
        .distinct("endpoint_id")
        .values_list("endpoint__name", "spec_id", "issued_at")
    )
    found = list(rows)
    return RoutingIndex(
        epoch=epoch,
        generation=number,
        issued_at=max((at.timestamp() for *_, at in found), default=0.0),
        endpoints={name: digest for name, digest, _ in found},
    )


def read_spec(digest: str) -> EndpointSpec:
    """A specification from the archive. Raises NotFound."""
    row = Spec.objects.filter(digest=digest).first()
    if row is None:
        raise NotFound(f"there is no specification {digest}")
    return decode_spec(bytes(row.body), digest=digest)


def difference(before: Generation, after: Generation) -> list[EndpointChange]:
    """What differs between the tables at two generations, endpoint by endpoint."""
    old = index_at(before.epoch, before.number).endpoints
    new = index_at(after.epoch, after.number).endpoints
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    pairs = [(name, old.get(name, ""), new.get(name, "")) for name in names]
    specs = _read_specs({digest for _, *both in pairs for digest in both})
    return [_change(name, specs.get(then), specs.get(now)) for name, then, now in pairs]


def _read_specs(digests: set[str]) -> dict[str, EndpointSpec]:
    rows = Spec.objects.filter(digest__in=digests).values_list("digest", "body")
    return {digest: decode_spec(bytes(body), digest=digest) for digest, body in rows}


def _change(name: str, before: EndpointSpec | None, after: EndpointSpec | None) -> EndpointChange:
    return EndpointChange(
        name=name,
        before=before,
        after=after,
        weights=(_weights(before), _weights(after)),
        versions=(_versions(before), _versions(after)),
        fields=_fields(before, after),
        moved=_moved(before, after),
    )


def _moved(before: EndpointSpec | None, after: EndpointSpec | None) -> int | None:
    if before is None or after is None or before.salt != after.salt:
        return None
    counts = moves(
        before.ranges,
        after.ranges,
        old_versions=_versions(before),
        new_versions=_versions(after),
    )
    return sum(counts.values())


def _weights(spec: EndpointSpec | None) -> dict[str, int]:
    return allocation.weights_of(spec.ranges) if spec else {}


def _versions(spec: EndpointSpec | None) -> dict[str, str]:
    return {variant.key: variant.version for variant in spec.variants} if spec else {}


def _fields(before: EndpointSpec | None, after: EndpointSpec | None) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    return tuple(name for name in old if old[name] != new[name])


def generations_needing(version: ModelVersion, *, since: datetime | None = None) -> bool:
    """Whether unloading the version could hurt.

    True while an endpoint names it, while a gateway that is not gone runs a generation that does,
    and, with `since`, when a phase that ended after that moment did (a rollback's target).
    """
    phases = Phase.objects.naming(version)
    needed = Q(ended_at__isnull=True)
    if since is not None:
        needed |= Q(ended_at__gt=since)
    if phases.filter(needed).exists():
        return True
    endpoints = sorted(set(phases.values_list("endpoint_id", flat=True)))
    running = GatewayReport.objects.exclude(state=State.GONE.value).exclude(generation=0)
    positions = set(running.values_list("epoch", "generation"))
    return any(_names(version, endpoints, *position) for position in positions)


def _names(version: ModelVersion, endpoints: Sequence[int], epoch: int, number: int) -> bool:
    """Whether one of the endpoints named the version in the table at that generation."""
    newest = (
        Generation.objects.filter(endpoint_id__in=endpoints)
        .filter(Q(epoch__lt=epoch) | Q(epoch=epoch, number__lte=number))
        .order_by("endpoint_id", "-epoch", "-number")
        .distinct("endpoint_id")
        .select_related("phase")
    )
    return any(item["version_id"] == version.pk for row in newest for item in row.phase.variants)
