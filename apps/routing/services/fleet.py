"""What the gateways say of themselves, and what they did by themselves."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

import msgspec
import redis
import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.events.errors import NotFound
from apps.events.models import Event
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.registry.selectors import traffic_allowance
from apps.routing.models import (
    Endpoint,
    GatewayReport,
    GatewayState,
    Generation,
    Override,
    Phase,
    Position,
)
from apps.routing.plain import SHADOW
from apps.routing.publication import client
from apps.routing.services.endpoints import reissue
from apps.routing.services.leases import lock
from contracts import routing as contract

log = structlog.get_logger(__name__)
T = TypeVar("T")

FLEET = system("fleet")
LAG_ALLOWED = timedelta(seconds=10)
GONE_AFTER = timedelta(seconds=15)
SETTLED_AFTER = timedelta(seconds=30)
UNAPPROVED = "endpoint.unapproved_traffic"


def collect_gateway_reports(*, now: datetime) -> list[GatewayReport]:
    """Take in what the gateways wrote to Redis; record who came, went, lags or withdrew.

    Safe to run in several processes at once: each change is recorded once. Returns the fleet;
    with Redis away it changes nothing, as silence then says nothing about the gateways.
    """
    try:
        reports, overrides = _read()
        _take_overrides(overrides, reports, now=now)
    except redis.RedisError as error:
        log.warning("fleet.unreadable", error=str(error))
        return list(GatewayReport.objects.all())
    _take_reports(reports, now=now)
    return list(GatewayReport.objects.all())


def _read() -> tuple[list[contract.GatewayReport], list[contract.Override]]:
    connection = client()
    keys = list(connection.scan_iter(match=f"{contract.REPORT_KEY}*", count=5_000))
    values = cast(list[bytes | None], connection.mget(keys)) if keys else []
    stored = cast(dict[bytes, bytes], connection.hgetall(contract.OVERRIDES_KEY))
    reports = [_decode(value, contract.GatewayReport) for value in values if value is not None]
    overrides = [_decode(value, contract.Override) for value in stored.values()]
    return [item for item in reports if item], [item for item in overrides if item]


def _decode(data: bytes, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.DecodeError as error:
        log.warning("fleet.misfit", kind=type_.__name__, error=str(error))
        return None


@transaction.atomic
def _take_reports(reports: Iterable[contract.GatewayReport], *, now: datetime) -> None:
    known = {row.gateway: row for row in GatewayReport.objects.select_for_update()}
    required = required_position(now=now)
    for report in reports:
        row = known.pop(report.gateway, None)
        state = GatewayState.LIVE if _order(report) >= required else GatewayState.LAGGING
        _take_report(row, report, state=state, now=now)
    for row in known.values():
        if row.state != GatewayState.GONE.value and now - row.seen_at > GONE_AFTER:
            _tell(row, verb="gateway.disappeared", before=row.state)
            row.state = GatewayState.GONE.value
            row.save(update_fields=["state"])


def required_position(*, now: datetime) -> tuple[int, int]:
    """The `(epoch, generation)` that every gateway must have reached by now."""
    due = now - LAG_ALLOWED
    position = Position.objects.first()
    if position is None:
        return (0, 0)
    if position.issued_at <= due:
        return (position.epoch, position.generation)
    newest = Generation.objects.filter(issued_at__lte=due).order_by("-epoch", "-number").first()
    return (newest.epoch, newest.number) if newest else (0, 0)


def _order(report: contract.GatewayReport) -> tuple[int, int]:
    return (report.epoch, report.generation)


def _take_report(
    row: GatewayReport | None,
    report: contract.GatewayReport,
    *,
    state: GatewayState,
    now: datetime,
) -> None:
    values = {**_values(report), "state": state.value, "seen_at": now}
    if row is None:
        row, created = GatewayReport.objects.get_or_create(gateway=report.gateway, defaults=values)
        if created:
            _tell(row, verb="gateway.appeared", before="")
        return
    before, boot = row.state, row.boot
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))
    for verb in _changes(before, state.value, restarted=boot != row.boot):
        _tell(row, verb=verb, before=before)


def _changes(before: str, after: str, *, restarted: bool) -> list[str]:
    """Verbs for what happened to a gateway between two looks."""
    gone, lagging, live = (
        GatewayState.GONE.value,
        GatewayState.LAGGING.value,
        GatewayState.LIVE.value,
    )
    verbs = []
    if before == gone:
        verbs.append("gateway.appeared")
    elif restarted:
        verbs.append("gateway.restarted")
    if after == lagging and before != lagging:
        verbs.append("gateway.lagging")
    if before == lagging and after == live:
        verbs.append("gateway.caught_up")
    return verbs


def _values(report: contract.GatewayReport) -> dict[str, object]:
    return {
        "boot": report.boot,
        "url": report.url,
        "epoch": report.epoch,
        "generation": report.generation,
        "source": report.source,
        "overrides": list(report.overrides),
        "spool_bytes": report.spool_bytes,
        "dropped": report.dropped,
        "rejected_index": report.rejected_index,
        "breakers": report.breakers,
        "replicas_out": list(report.replicas_out),
        "caches_off": report.caches_off,
        "swapped_at": _moment(report.swapped_at) if report.swapped_at else None,
        "started_at": _moment(report.started_at),
        "reported_at": _moment(report.reported_at),
    }


def _tell(row: GatewayReport, *, verb: str, before: str) -> None:
    after = {
        "url": row.url,
        "boot": row.boot,
        "epoch": row.epoch,
        "generation": row.generation,
        "refused": row.rejected_index,
    }
    record(actor=FLEET, verb=verb, object_key=row.key, before={"state": before}, after=after)


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, tz=UTC)


def _take_overrides(
    overrides: Iterable[contract.Override],
    reports: Iterable[contract.GatewayReport],
    *,
    now: datetime,
) -> None:
    """Add what is new; clear what a gateway that reports holds no more."""
    known = {_identity(row) for row in Override.objects.filter(cleared_at__isnull=True)}
    for override in overrides:
        if (override.gateway, override.key) not in known:
            take_override(override)
    held = {report.gateway: report.overrides for report in reports}
    # A gateway's report may be a moment older than the override beside it.
    settled = Override.objects.filter(
        cleared_at__isnull=True, gateway__in=held, withdrawn_at__lt=now - SETTLED_AFTER
    )
    forgotten = [row for row in settled if row.override_key not in held[row.gateway]]
    if forgotten:
        Override.objects.filter(pk__in=[row.pk for row in forgotten]).update(cleared_at=now)
        client().hdel(contract.OVERRIDES_KEY, *[":".join(_identity(row)) for row in forgotten])


def _identity(row: Override) -> tuple[str, str]:
    return (row.gateway, row.override_key)


@transaction.atomic
def take_override(override: contract.Override) -> None:
    """Keep a gateway's own withdrawal and tell the rollout of it, once."""
    endpoint = Endpoint.objects.select_related("team").filter(name=override.endpoint).first()
    if endpoint is None:
        log.warning("override.unknown_endpoint", endpoint=override.endpoint)
        return
    evidence = {"wealth": override.wealth, "units": override.units, "reason": override.reason}
    row, created = Override.objects.get_or_create(
        gateway=override.gateway,
        rollout_key=override.rollout,
        variant=override.variant,
        defaults={
            "endpoint": endpoint,
            "evidence": {**evidence, "generation": override.generation},
            "withdrawn_at": _moment(override.at),
        },
    )
    if not created:
        Override.objects.filter(pk=row.pk).update(cleared_at=None)
        return
    record(
        actor=FLEET,
        verb="gateway.override_reported",
        object_key=override.rollout,
        team_key=endpoint.team.key,
        after={
            "gateway": override.gateway,
            "endpoint": endpoint.name,
            "variant": override.variant,
            "evidence": row.evidence,
            "at": override.at,
        },
        reason=override.reason,
    )


@transaction.atomic
def acknowledge_override(
    *, actor: Principal, endpoint: Endpoint, rollout_key: str, variant: str, reason: str
) -> int:
    """Let gateways forget that they withdrew a candidate; returns how many had.

    A candidate that still has buckets then gets them back, so reallocate first. Raises NotFound
    when no gateway reported such an override.
    """
    authorise(actor, Permission.ROUTE, team_key=endpoint.team.key)
    locked = lock(endpoint)
    rows = Override.objects.filter(endpoint=locked, rollout_key=rollout_key, variant=variant)
    if not rows.exists():
        raise NotFound(f"no gateway withdrew {variant} of {rollout_key}")
    count = rows.filter(acknowledged_at__isnull=True).update(
        acknowledged_at=timezone.now(), acknowledged_by=actor.key
    )
    if count:
        record(
            actor=actor,
            verb="endpoint.override_acknowledged",
            object_key=locked.key,
            team_key=locked.team.key,
            after={"rollout": rollout_key, "variant": variant, "gateways": count},
            reason=reason,
        )
        reissue(actor=actor, endpoint=locked, reason=reason)
    return count


@transaction.atomic
def report_unapproved_traffic(*, version: ModelVersion) -> int:
    """Record, once a phase, that an endpoint serves a version which its approval no longer covers.

    Taking it out is a person's or a rollout's decision: what is there to serve instead, they
    know. Nothing can give the version more traffic meanwhile. Returns how many endpoints do.
    """
    allowance = traffic_allowance(version).value
    found = 0
    phases = Phase.objects.current().naming(version).select_related("endpoint__team")
    for phase in phases.order_by("endpoint_id"):
        roles = {item["role"] for item in phase.variants if item["version_id"] == version.pk}
        if allowance == "all" or (allowance == "shadow" and roles == {SHADOW}):
            continue
        found += 1
        _tell_unapproved(phase, version)
    return found


def _tell_unapproved(phase: Phase, version: ModelVersion) -> None:
    endpoint = phase.endpoint
    what = {"version": version.version_key, "phase": phase.number}
    told = Event.objects.for_object(endpoint.key).filter(verb=UNAPPROVED, after__contains=what)
    if not told.exists():
        record(
            actor=FLEET,
            verb=UNAPPROVED,
            object_key=endpoint.key,
            team_key=endpoint.team.key,
            after={**what, "stage": version.stage, "attention": True},
            reason=f"{version.version_key} has lost its approval and still has traffic",
        )
