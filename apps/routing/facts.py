"""From rows to the compiler's plain facts."""

from collections.abc import Iterable, Sequence

import msgspec

from apps.events.errors import Invalid
from apps.registry.models import ModelVersion
from apps.registry.selectors import Allowance, traffic_allowance
from apps.routing.compiler import (
    BackendFacts,
    EndpointFacts,
    PhaseFacts,
    VariantFacts,
    VersionFacts,
)
from apps.routing.models import Backend, BackendState, Endpoint, Phase
from contracts.routing import Guardrail, Limits


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `Endpoint.settings` may hold."""

    limits: Limits = Limits()


def settings_of(value: object) -> EndpointSettings:
    """Typed settings. Raises Invalid naming what does not fit."""
    try:
        settings = msgspec.convert(value, EndpointSettings)
    except msgspec.ValidationError as error:
        raise Invalid(f"settings: {error}", field="settings") from error
    limits = msgspec.structs.asdict(settings.limits)
    wrong = next((name for name, number in limits.items() if number <= 0), None)
    if wrong:
        raise Invalid(f"settings: {wrong} must be positive", field=f"settings.limits.{wrong}")
    return settings


def endpoint_facts(endpoint: Endpoint) -> EndpointFacts:
    """What the compiler needs of an endpoint."""
    return EndpointFacts(
        name=endpoint.name,
        team=endpoint.team.key,
        unit_kind="user" if endpoint.unit_kind == "user" else "request",
        sample_rate=endpoint.sample_rate,
        limits=settings_of(endpoint.settings).limits,
    )


def backend_facts(version: ModelVersion) -> BackendFacts | None:
    """Where the version answers now, or None."""
    backend = Backend.objects.filter(version=version, state=BackendState.READY.value).first()
    if backend is None:
        return None
    return BackendFacts(entry=backend.entry, addresses=tuple(backend.addresses))


def version_facts(version: ModelVersion) -> VersionFacts:
    """What the compiler needs of a version, its allowance included."""
    allowance = traffic_allowance(version)
    return VersionFacts(
        key=version.version_key,
        number=version.number,
        semantic_version=version.semantic_version,
        may_serve=allowance is Allowance.ALL,
        may_shadow=allowance in (Allowance.ALL, Allowance.SHADOW),
        schema=version.schema(),
        labelling=version.labelling(),
        backend=backend_facts(version),
    )


def phase_facts(phase: Phase, versions: Iterable[ModelVersion]) -> PhaseFacts:
    """What the compiler needs of a phase; `versions` are those that its variants name."""
    facts = {version.pk: version_facts(version) for version in versions}
    return PhaseFacts(
        number=phase.number,
        salt=phase.salt,
        variants=tuple(
            VariantFacts(
                key=variant["key"],
                role=variant["role"],
                version=facts[variant["version_id"]],
                weight=variant["weight"],
            )
            for variant in phase.variants
        ),
        ranges=phase.allocation(),
        rollout=phase.rollout_key,
        experiment=phase.experiment_key,
        guardrails=guardrails_of(phase.guardrails),
    )


def guardrails_of(stored: Sequence[object]) -> tuple[Guardrail, ...]:
    """Typed guardrails from a phase's JSON."""
    return tuple(msgspec.convert(item, Guardrail) for item in stored)
