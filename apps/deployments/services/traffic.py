"""What a deployment's `traffic_percentage` means for the endpoint named like its model."""

from typing import Final

from apps.accounts.access import Principal
from apps.deployments.errors import Invalid
from apps.deployments.models import Deployment
from apps.registry.models import ModelVersion
from apps.registry.selectors import Allowance, traffic_allowance
from apps.routing.errors import LeaseHeld, VersionNotApproved
from apps.routing.models import Endpoint
from apps.routing.services import VariantWeight, create_endpoint, reallocate

STABLE: Final = "stable"
CANARY: Final = "canary"


def check_approval(version: ModelVersion, traffic_percentage: int) -> None:
    """Raises VersionNotApproved unless the version's approval allows what is asked for.

    Without traffic any approved stage will do: what is loaded may be shadowed.
    """
    allowance = traffic_allowance(version)
    enough = {Allowance.ALL} if traffic_percentage else {Allowance.ALL, Allowance.SHADOW}
    if allowance not in enough:
        wanted = "traffic" if traffic_percentage else "shadow traffic"
        raise VersionNotApproved(
            f"{version} is not approved for {wanted}: it is in {version.stage}", field="version"
        )


def check_traffic(version: ModelVersion, traffic_percentage: int) -> None:
    """Raises what `apply_traffic` would raise as things are now."""
    endpoint = _endpoint(version.model.endpoint_name)
    if endpoint is not None and endpoint.lease_holder:
        raise LeaseHeld(f"endpoint {endpoint.name} is held by {endpoint.lease_holder}")
    _weights(version, incumbent_of(endpoint) if endpoint else None, traffic_percentage)


def team_of_traffic(version: ModelVersion) -> str:
    """Key of the team whose endpoint is changed."""
    endpoint = _endpoint(version.model.endpoint_name)
    return endpoint.team.key if endpoint else version.model.team.key


def apply_traffic(deployment: Deployment, *, actor: Principal) -> None:
    """Give the version its share; the incumbent keeps the rest.

    Runs in the caller's transaction. Raises what routing refuses.
    """
    version = deployment.version
    endpoint = _endpoint(deployment.endpoint_name) or create_endpoint(
        actor=actor, name=deployment.endpoint_name, model=version.model
    )
    incumbent = incumbent_of(endpoint)
    reallocate(
        actor=actor,
        endpoint=endpoint,
        holder="",
        expected_revision=endpoint.revision,
        weights=_weights(version, incumbent, deployment.traffic_percentage),
        reason=f"deployed by {deployment.created_by} with {deployment.traffic_percentage} %",
        new_candidate=incumbent is not None and incumbent != version,
        carry=True,
    )


def _endpoint(name: str) -> Endpoint | None:
    return Endpoint.objects.select_related("team", "model").filter(name=name).first()


def incumbent_of(endpoint: Endpoint) -> ModelVersion | None:
    """The version that serves as stable now (else the one with most buckets), if any does."""
    phase = endpoint.phase
    if phase is None:
        return None
    variants = sorted(phase.variants, key=lambda v: (v["role"] == STABLE, v["weight"]))
    return ModelVersion.objects.select_related("model").get(pk=variants[-1]["version_id"])


def _weights(
    version: ModelVersion, incumbent: ModelVersion | None, percentage: int
) -> list[VariantWeight]:
    if percentage == 100:
        return [VariantWeight(key=STABLE, role=STABLE, version=version, weight=10_000)]
    if incumbent is None:
        raise Invalid(
            "nothing serves yet, so nothing can take the rest: ask for 0 or 100",
            field="traffic_percentage",
        )
    if incumbent == version:
        raise Invalid(
            f"{version} is the stable version already: ask for 0 or 100",
            field="traffic_percentage",
        )
    return split(incumbent, version, percentage * 100)


def split(stable: ModelVersion, candidate: ModelVersion, weight: int) -> list[VariantWeight]:
    """`weight` basis points to the candidate, the rest to the stable version."""
    return [
        VariantWeight(key=STABLE, role=STABLE, version=stable, weight=10_000 - weight),
        VariantWeight(key=CANARY, role=CANARY, version=candidate, weight=weight),
    ]
