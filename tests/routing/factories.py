"""Rows to test routing with."""

from typing import Any

from apps.accounts.access import Principal, Role
from apps.events.models import Event
from apps.registry.models import ModelVersion, RegisteredModel
from apps.routing import services
from apps.routing.models import Endpoint, Generation
from apps.routing.services import VariantWeight
from tests.registry.factories import make_model, make_version, person


def operator() -> Principal:
    """Somebody who may deploy, route and roll back."""
    return person("olga", Role.OPERATOR)


def deployed(
    number: int, *, stage: str = "production", model: RegisteredModel | None = None
) -> ModelVersion:
    """A version at a stage that answers on a Triton."""
    version = make_version(number=number, stage=stage, model=model)
    services.register_backend(
        actor=operator(),
        version=version,
        entry=f"{version.model.name}-v{number}",
        addresses=["127.0.0.1:8001"],
    )
    return version


def make_endpoint(name: str = "flights", **options: Any) -> Endpoint:
    """An endpoint of the model "flights" that serves nothing yet."""
    return services.create_endpoint(actor=operator(), name=name, model=make_model(), **options)


def stable(version: ModelVersion, weight: int = 10_000) -> VariantWeight:
    """The version as the stable variant."""
    return VariantWeight(key="stable", role="stable", version=version, weight=weight)


def canary(version: ModelVersion, weight: int) -> VariantWeight:
    """The version as the canary."""
    return VariantWeight(key="canary", role="canary", version=version, weight=weight)


def shadow(version: ModelVersion) -> VariantWeight:
    """The version as a shadow."""
    return VariantWeight(key="shadow", role="shadow", version=version, weight=0)


def route(endpoint: Endpoint, *weights: VariantWeight, **options: Any) -> Generation:
    """Reallocate as things stand now, by the operator."""
    endpoint.refresh_from_db()
    arguments: dict[str, Any] = {
        "actor": operator(),
        "holder": endpoint.lease_holder,
        "expected_revision": endpoint.revision,
        "reason": "test",
        **options,
    }
    return services.reallocate(endpoint=endpoint, weights=list(weights), **arguments)


def restore(endpoint: Endpoint, phase: int, **options: Any) -> Generation:
    """Bring an earlier phase back as things stand now, by the operator."""
    endpoint.refresh_from_db()
    return services.restore_phase(
        actor=operator(),
        endpoint=endpoint,
        holder=endpoint.lease_holder,
        expected_revision=endpoint.revision,
        phase_number=phase,
        reason="test",
        **options,
    )


def told_of(endpoint: Endpoint) -> dict[str, Any]:
    """What the newest event of the endpoint says that came out."""
    after = Event.objects.for_object(endpoint.key)[0].after
    assert isinstance(after, dict)
    return after
