"""Adding a generation: the specification, its place in the table, and its publication."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal
from apps.accounts.errors import PermissionDenied
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.routing.compiler import compile_spec
from apps.routing.errors import InvalidSettings
from apps.routing.facts import endpoint_facts, phase_facts
from apps.routing.fitting import fit
from apps.routing.models import Backend, Endpoint, Generation, Override, Phase, Position, Spec
from apps.routing.publication import publish_latest
from contracts.routing import encode_spec, spec_digest


def issue(
    *,
    actor: Principal,
    endpoint: Endpoint,
    phase: Phase,
    reason: str,
    may_leave_out: Collection[str] = (),
) -> Generation:
    """Compile `phase` and put it into the table as the next generation.

    `may_leave_out` names parts of the policy (`fitting.PARTS`) that are left out of the
    specification when they do not fit the phase; the generation tells which were. The caller
    holds the endpoint's row lock. Raises what the compiler refuses.
    """
    versions = lock_backends(variant["version_id"] for variant in phase.variants)
    wanted, facts = endpoint_facts(endpoint), phase_facts(phase, versions)
    fitted = fit(wanted, facts.variants, may_leave_out=may_leave_out)
    if fitted.refused:
        raise InvalidSettings(fitted.refused)
    spec = compile_spec(
        replace(wanted, policy=fitted.policy), facts, acknowledged=_acknowledged(endpoint)
    )
    body = encode_spec(spec)
    digest = spec_digest(body)
    Spec.objects.bulk_create([Spec(digest=digest, body=body)], ignore_conflicts=True)
    Endpoint.objects.filter(pk=endpoint.pk).update(digest=digest)
    endpoint.digest = digest
    position = advance_position()
    generation = Generation.objects.create(
        epoch=position.epoch,
        number=position.generation,
        endpoint=endpoint,
        phase=phase,
        spec_id=digest,
        issued_at=position.issued_at,
        actor_key=actor.key,
        reason=reason,
        left_out=[fault._asdict() for fault in fitted.left_out],
    )
    # In this process, not through a queue: a rollback does not wait for a worker. What fails now
    # is healed by the periodic task.
    transaction.on_commit(partial(publish_latest, fresh={digest: body}), robust=True)
    return generation


def advance_position(*, epochs: int = 0) -> Position:
    """Take the next generation number; its lock is held until the commit."""
    Position.objects.get_or_create(pk=1)
    position = Position.objects.select_for_update().get(pk=1)
    position.epoch += epochs
    position.generation += 1
    # A clock that was set back must not make a newer state look older.
    position.issued_at = max(timezone.now(), position.issued_at)
    position.save(update_fields=["epoch", "generation", "issued_at"])
    return position


def lock_backends(version_ids: Iterable[int]) -> list[ModelVersion]:
    """The versions, whose backends stay as they are until the commit."""
    ids = sorted(set(version_ids))
    list(Backend.objects.select_for_update().filter(version_id__in=ids).order_by("version_id"))
    return list(ModelVersion.objects.select_related("model").filter(pk__in=ids))


@transaction.atomic
def advance_epoch(*, actor: Principal, reason: str) -> Position:
    """Begin a new epoch, after Postgres was restored from a backup.

    Gateways refuse a table older than theirs; one of a newer epoch they take although its
    generation is lower. The permission is an administrator's, in whatever team.
    """
    if not actor.can_anywhere(Permission.ADMINISTER):
        raise PermissionDenied(f"{actor.display} may not administer in any team")
    position = advance_position(epochs=1)
    record(
        actor=actor,
        verb="routing.epoch_advanced",
        object_key="routing:table",
        before={"epoch": position.epoch - 1},
        after={"epoch": position.epoch, "generation": position.generation},
        reason=reason,
    )
    transaction.on_commit(publish_latest, robust=True)
    return position


def _acknowledged(endpoint: Endpoint) -> list[str]:
    """Overrides that gateways may forget; once a gateway has, its row is cleared."""
    rows = Override.objects.filter(
        endpoint=endpoint, acknowledged_at__isnull=False, cleared_at__isnull=True
    )
    return sorted({row.override_key for row in rows})
