"""Who is in an allocation, and who goes along when an automated change names only some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from apps.registry.models import ModelVersion
from apps.registry.selectors import Allowance, traffic_allowance
from apps.routing.compiler import successors
from apps.routing.facts import ensemble_of, stored_settings
from apps.routing.models import Backend, BackendState, Endpoint
from apps.routing.plain import SHADOW
from contracts.policy import Ensemble, Policy
from contracts.routing import VariantRole

Stored = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class VariantWeight:
    """A version in a role, and its share in buckets of 10,000.

    With an `ensemble` its answers are combined of several variants', its own among them.
    """

    key: str
    role: VariantRole
    version: ModelVersion
    weight: int
    ensemble: Ensemble | None = None


def accompany(endpoint: Endpoint, weights: Sequence[VariantWeight]) -> list[VariantWeight]:
    """The weights, and what of the phase that runs goes on beside them.

    A version that answers as an ensemble goes on doing so, its members with it; a fallback or a
    shadow that the policy names stays, as long as it may. A shadow of a version that gets buckets
    ends: it would be compared with itself.
    """
    phase = endpoint.phase
    if phase is None:
        return list(weights)
    before: dict[str, Stored] = {item["key"]: item for item in phase.variants}
    given = [_with_ensemble(item, before, weights) for item in weights]
    return [*given, *_companions(before, given, stored_settings(endpoint).policy)]


def _with_ensemble(
    item: VariantWeight, before: Mapping[str, Stored], weights: Sequence[VariantWeight]
) -> VariantWeight:
    """The variant with the ensemble that its version had, its members under their new keys."""
    names = successors(_versions(before), {one.key: one.version.version_key for one in weights})
    old = next((key for key, new in names.items() if new == item.key), "")
    ensemble = ensemble_of(before[old]) if old else None
    if item.ensemble is not None or ensemble is None:
        return item
    members = tuple(names.get(member, member) for member in ensemble.members)
    return replace(item, ensemble=msgspec.structs.replace(ensemble, members=members))


def _versions(variants: Mapping[str, Stored]) -> dict[str, str]:
    return {key: item["version"] for key, item in variants.items()}


def _companions(
    before: Mapping[str, Stored], given: Sequence[VariantWeight], policy: Policy
) -> Iterator[VariantWeight]:
    """Variants of weight 0 to be kept, in the order of the phase."""
    members = {key for item in given if item.ensemble for key in item.ensemble.members}
    named = {policy.fallback.variant, *(mirror.variant for mirror in policy.mirrors)}
    present = {item.key for item in given}
    weighted = {item.version.pk for item in given if item.weight}
    wanted = [item for key, item in before.items() if key in members | named and key not in present]
    rows = ModelVersion.objects.select_related("model").in_bulk(
        [item["version_id"] for item in wanted]
    )
    for item in wanted:
        version, role = rows[item["version_id"]], item["role"]
        if item["key"] in members:
            yield _idle(item, "member" if item["weight"] else role, version)
        elif not item["weight"] and _may_stay(version, role, weighted):
            yield _idle(item, role, version)


def _idle(item: Stored, role: VariantRole, version: ModelVersion) -> VariantWeight:
    return VariantWeight(
        key=item["key"], role=role, version=version, weight=0, ensemble=ensemble_of(item)
    )


def _may_stay(version: ModelVersion, role: str, weighted: set[int]) -> bool:
    """Whether a bystander still is what it was: loaded, allowed, and no shadow of itself."""
    if role == SHADOW and version.pk in weighted:
        return False
    enough = (Allowance.ALL, Allowance.SHADOW) if role == SHADOW else (Allowance.ALL,)
    ready = Backend.objects.filter(version=version, state=BackendState.READY.value)
    return traffic_allowance(version) in enough and ready.exists()
