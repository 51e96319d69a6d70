"""Who gets what of an endpoint: the one way to change it, and the way back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events.errors import Invalid, NotFound
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.registry.services import crown
from apps.routing.compiler import check_approval, check_variants, moves, next_ranges
from apps.routing.errors import InvalidSettings, InvalidWeights, NoBackend, VersionNotApproved
from apps.routing.facts import endpoint_facts, version_facts
from apps.routing.fitting import BYSTANDERS, PARTS, fit
from apps.routing.models import Endpoint, Generation, Phase
from apps.routing.plain import VariantFacts
from apps.routing.services.endpoints import new_salt
from apps.routing.services.generations import issue
from apps.routing.services.leases import check_holder, check_revision, lock, permission_for
from apps.routing.services.variants import VariantWeight, accompany
from contracts.routing import BucketRange, Guardrail
from serving import allocation


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a change would do: `moved` buckets would see another version, `moves` from which to
    which ({("flights/1", "flights/2"): 500})."""

    revision: int
    weights: dict[str, int]
    moved: int
    moves: dict[tuple[str, str], int]
    renews_salt: bool


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The next phase, before it is written."""

    variants: list[dict[str, object]]
    ranges: tuple[BucketRange, ...]
    salt: str
    guardrails: list[object]
    rollout_key: str = ""
    experiment_key: str = ""
    restored_from: int | None = None


@transaction.atomic
def reallocate(
    *,
    actor: Principal,
    endpoint: Endpoint,
    holder: str,
    expected_revision: int,
    weights: Sequence[VariantWeight],
    reason: str,
    new_candidate: bool = False,
    rollout_key: str = "",
    experiment_key: str = "",
    guardrails: Sequence[Guardrail] | None = None,
    carry: bool = False,
) -> Generation:
    """Give the variants these weights, moving the fewest users, and begin a new phase.

    `holder` is the lease's holder, "" when nobody holds it. With `new_candidate`, and when all
    traffic goes to one variant until now, the salt is renewed, so that the same users are not
    always the first to meet a candidate.

    With `carry`, for automation that knows of the versions that it moves and of no others,
    ensembles, fallback and shadows of the phase that runs go along (`variants.accompany`), and a
    policy's bystander that has no place any more is left out instead of refused.

    Raises VersionNotApproved, NoBackend, InvalidWeights (naming the entry at fault),
    InvalidSettings (naming what of the policy has no place), LeaseHeld and RevisionConflict.
    """
    authorise(actor, permission_for(holder), team_key=endpoint.team.key)
    locked = lock(endpoint)
    check_holder(locked, holder)
    check_revision(locked, expected_revision)
    fresh = _lock_versions(accompany(locked, weights) if carry else weights)
    _check(locked, fresh)
    planned = replace(
        _plan(locked.phase, locked, fresh, new_candidate=new_candidate),
        guardrails=[msgspec.to_builtins(item) for item in guardrails or ()],
        rollout_key=rollout_key,
        experiment_key=experiment_key,
    )
    left = BYSTANDERS if carry else ()
    return _begin(
        actor, locked, planned, reason=reason, verb="endpoint.reallocated", may_leave_out=left
    )


@transaction.atomic
def restore_phase(
    *,
    actor: Principal,
    endpoint: Endpoint,
    holder: str,
    expected_revision: int,
    phase_number: int,
    reason: str,
) -> Generation:
    """Bring back exactly the ranges and the salt of an earlier phase, as a new one.

    It belongs to no rollout and no experiment. Refuses as `reallocate` does: a version that has
    lost its approval or its backend since does not come back. The way back is not held up by the
    policy, though: what of it has no place in that phase is left out.
    """
    authorise(actor, Permission.ROLL_BACK, team_key=endpoint.team.key)
    locked = lock(endpoint)
    check_holder(locked, holder)
    check_revision(locked, expected_revision)
    target = locked.phases.filter(number=phase_number).first()
    if target is None:
        raise NotFound(f"endpoint {locked.name} had no phase {phase_number}", field="phase")
    planned = _Plan(
        variants=target.variants,
        ranges=target.allocation(),
        salt=target.salt,
        guardrails=[],
        restored_from=target.number,
    )
    try:
        return _begin(
            actor, locked, planned, reason=reason, verb="endpoint.restored", may_leave_out=PARTS
        )
    except (VersionNotApproved, NoBackend) as error:
        raise type(error)(f"phase {target.number}: {error.detail}", field="phase") from error


@transaction.atomic
def finish_ramp(
    *,
    actor: Principal,
    endpoint: Endpoint,
    holder: str,
    expected_revision: int,
    candidate: str,
    reason: str,
) -> Generation:
    """Make the version of variant `candidate` the stable one, alone; who has it keeps it."""
    phase = endpoint.phase
    variant = next((v for v in phase.variants if v["key"] == candidate), None) if phase else None
    if variant is None:
        raise NotFound(f"endpoint {endpoint.name} has no variant {candidate!r}", field="candidate")
    version = ModelVersion.objects.get(pk=variant["version_id"])
    return reallocate(
        actor=actor,
        endpoint=endpoint,
        holder=holder,
        expected_revision=expected_revision,
        weights=[VariantWeight(key="stable", role="stable", version=version, weight=10_000)],
        reason=reason,
        carry=True,
    )


def preview(
    *,
    endpoint: Endpoint,
    weights: Sequence[VariantWeight],
    new_candidate: bool = False,
    carry: bool = False,
) -> Preview:
    """What `reallocate` would do now; lease, revision and backends aside, it refuses the same."""
    weights = accompany(endpoint, weights) if carry else weights
    variants = _check(endpoint, weights)
    fitted = fit(endpoint_facts(endpoint), variants, may_leave_out=BYSTANDERS if carry else ())
    if fitted.refused:
        raise InvalidSettings(fitted.refused)
    phase = endpoint.phase
    planned = _plan(phase, endpoint, weights, new_candidate=new_candidate)
    counts = _moves(phase, planned) if phase else {}
    return Preview(
        revision=endpoint.revision,
        weights=allocation.weights_of(planned.ranges),
        moved=sum(counts.values()),
        moves=counts,
        renews_salt=planned.salt != endpoint.salt,
    )


def _lock_versions(weights: Sequence[VariantWeight]) -> list[VariantWeight]:
    """The same weights over fresh versions, whose approval stays as it is until the commit.

    A rollback does not do this: it must not wait for anybody.
    """
    ids = sorted({item.version.pk for item in weights})
    rows = ModelVersion.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=ids)
    fresh = {row.pk: row for row in rows.select_related("model").order_by("pk")}
    return [replace(item, version=fresh[item.version.pk]) for item in weights]


def _check(endpoint: Endpoint, weights: Sequence[VariantWeight]) -> list[VariantFacts]:
    """Say what is wrong before anything is computed from it; the compiler checks it all again."""
    variants = [
        VariantFacts(
            key=item.key,
            role=item.role,
            version=version_facts(item.version),
            weight=item.weight,
            ensemble=item.ensemble,
        )
        for item in weights
    ]
    check_variants(variants)
    for number, (item, variant) in enumerate(zip(weights, variants, strict=True)):
        if item.version.model_id != endpoint.model_id:
            raise InvalidWeights(
                f"{item.version.version_key} is not a version of {endpoint.model.name}",
                field=f"weights[{number}].version",
            )
        check_approval(variant, path=f"weights[{number}].version")
    return variants


def _plan(
    phase: Phase | None,
    endpoint: Endpoint,
    weights: Sequence[VariantWeight],
    *,
    new_candidate: bool,
) -> _Plan:
    variants = [_stored(item) for item in weights]
    ranges = next_ranges(
        phase.allocation() if phase else (),
        before=_versions(phase.variants) if phase else {},
        after=_versions(variants),
        weights={item.key: item.weight for item in weights},
    )
    salt = new_salt() if new_candidate and _served_by_one(phase) else endpoint.salt
    return _Plan(variants=variants, ranges=ranges, salt=salt, guardrails=[])


def _served_by_one(phase: Phase | None) -> bool:
    """Whether everybody has the same variant, so that a new salt moves nobody."""
    return phase is not None and len(allocation.weights_of(phase.allocation())) == 1


def _stored(item: VariantWeight) -> dict[str, object]:
    ensemble = msgspec.to_builtins(item.ensemble)
    return {
        "key": item.key,
        "role": item.role,
        "version": item.version.version_key,
        "version_id": item.version.pk,
        "weight": item.weight,
        **({"ensemble": ensemble} if ensemble else {}),
    }


def _versions(variants: Sequence[dict[str, object]]) -> dict[str, str]:
    return {str(variant["key"]): str(variant["version"]) for variant in variants}


def _moves(phase: Phase, planned: _Plan) -> dict[tuple[str, str], int]:
    return moves(
        phase.allocation(),
        planned.ranges,
        old_versions=_versions(phase.variants),
        new_versions=_versions(planned.variants),
    )


def _begin(
    actor: Principal,
    endpoint: Endpoint,
    planned: _Plan,
    *,
    reason: str,
    verb: str,
    may_leave_out: Collection[str],
) -> Generation:
    """Close the phase that runs, open the planned one, publish it and tell the log."""
    if not reason.strip():
        raise Invalid("say why", field="reason")
    before = endpoint.phase
    phase = _open(actor, endpoint, before, planned, reason=reason)
    renewed = endpoint.salt != planned.salt
    endpoint.revision += 1
    endpoint.salt = planned.salt
    endpoint.save(update_fields=["revision", "salt"])
    generation = issue(
        actor=actor, endpoint=endpoint, phase=phase, reason=reason, may_leave_out=may_leave_out
    )
    _crown_alone(actor, endpoint, phase, reason=reason)
    record(
        actor=actor,
        verb=verb,
        object_key=endpoint.key,
        team_key=endpoint.team.key,
        before=_told(before) if before else None,
        after={
            **_told(phase),
            "epoch": generation.epoch,
            "generation": generation.number,
            "revision": endpoint.revision,
            "salt_renewed": renewed,
            "moved": None if renewed or not before else sum(_moves(before, planned).values()),
            "restored_from": planned.restored_from,
            "left_out": generation.left_out,
        },
        reason=reason,
    )
    return generation


def _crown_alone(actor: Principal, endpoint: Endpoint, phase: Phase, *, reason: str) -> None:
    """The version of the endpoint's own model that got everybody is that model's champion."""
    serving = [item for item in phase.variants if item["weight"]]
    if len(serving) != 1 or serving[0].get("ensemble"):
        return
    version = ModelVersion.objects.select_related("model__team").get(pk=serving[0]["version_id"])
    if version.model_id == endpoint.model_id:
        crown(actor=actor, version=version, reason=reason)


def _open(
    actor: Principal, endpoint: Endpoint, before: Phase | None, planned: _Plan, *, reason: str
) -> Phase:
    # A clock that was set back must not keep a rollback from being written.
    moment: datetime = max(timezone.now(), before.started_at) if before else timezone.now()
    if before:
        Phase.objects.filter(pk=before.pk).update(ended_at=moment)
    return Phase.objects.create(
        endpoint=endpoint,
        number=before.number + 1 if before else 1,
        variants=planned.variants,
        ranges=[list(msgspec.structs.astuple(item)) for item in planned.ranges],
        salt=planned.salt,
        guardrails=planned.guardrails,
        rollout_key=planned.rollout_key,
        experiment_key=planned.experiment_key,
        restored_from=planned.restored_from,
        actor_key=actor.key,
        reason=reason,
        started_at=moment,
    )


def _told(phase: Phase) -> dict[str, object]:
    """A phase as the event log tells of it."""
    return {
        "phase": phase.number,
        "weights": phase.weights(),
        "versions": _versions(phase.variants),
        "ensembles": {v["key"]: v["ensemble"] for v in phase.variants if v.get("ensemble")},
        "rollout": phase.rollout_key,
        "experiment": phase.experiment_key,
    }
