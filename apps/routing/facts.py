"""From rows to the compiler's plain facts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from apps.registry.models import ModelVersion
from apps.registry.selectors import Allowance, traffic_allowance
from apps.routing.errors import InvalidSettings
from apps.routing.models import Backend, BackendState, Endpoint, Phase
from apps.routing.plain import (
    BackendFacts,
    EndpointFacts,
    PhaseFacts,
    TargetFacts,
    VariantFacts,
    VersionFacts,
)
from apps.routing.policy import EndpointSettings, check
from apps.routing.reading import read
from contracts.policy import Ensemble
from contracts.routing import Guardrail


def settings_of(value: object) -> EndpointSettings:
    """Settings that somebody wants. Raises InvalidSettings, naming all that makes no sense."""
    settings = read(value, EndpointSettings, path="settings")
    faults = check(settings)
    if faults:
        raise InvalidSettings(faults)
    return settings


def stored_settings(endpoint: Endpoint) -> EndpointSettings:
    """Settings that were checked when they were stored: no stricter check of today's stops them."""
    return msgspec.convert(endpoint.settings, EndpointSettings)


def settings_digest(endpoint: Endpoint) -> str:
    """Names the settings as they are, for whoever wants to change just these."""
    return hashlib.sha256(msgspec.json.encode(endpoint.settings, order="sorted")).hexdigest()


def endpoint_facts(endpoint: Endpoint) -> EndpointFacts:
    """What the compiler needs of an endpoint."""
    settings = stored_settings(endpoint)
    return EndpointFacts(
        name=endpoint.name,
        team=endpoint.team.key,
        unit_kind="user" if endpoint.unit_kind == "user" else "request",
        sample_rate=endpoint.sample_rate,
        limits=settings.limits,
        policy=settings.policy,
        targets=_targets(rule.endpoint for rule in settings.policy.rules),
    )


def _targets(names: Iterable[str]) -> dict[str, TargetFacts]:
    wanted = set(names)
    if not wanted:
        return {}
    rows = Endpoint.objects.filter(name__in=wanted).values_list("name", "team__key", "digest")
    return {name: TargetFacts(team, bool(digest)) for name, team, digest in rows}


def backend_facts(version: ModelVersion) -> BackendFacts | None:
    """Where the version answers now, or None."""
    backend = Backend.objects.filter(version=version, state=BackendState.READY.value).first()
    if backend is None:
        return None
    return BackendFacts(
        entry=backend.entry, addresses=tuple(backend.addresses), explainer=backend.explainer
    )


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
                ensemble=ensemble_of(variant),
            )
            for variant in phase.variants
        ),
        ranges=phase.allocation(),
        rollout=phase.rollout_key,
        experiment=phase.experiment_key,
        guardrails=guardrails_of(phase.guardrails),
    )


def ensemble_of(variant: Mapping[str, object]) -> Ensemble | None:
    """Typed ensemble of a variant in a phase's JSON, if it carries one."""
    stored = variant.get("ensemble")
    return None if stored is None else msgspec.convert(stored, Ensemble)


def guardrails_of(stored: Sequence[object]) -> tuple[Guardrail, ...]:
    """Typed guardrails from a phase's JSON."""
    return tuple(msgspec.convert(item, Guardrail) for item in stored)
