"""Endpoints, and where versions answer."""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events.errors import Conflict, Invalid
from apps.events.services import record
from apps.registry.models import ModelVersion, RegisteredModel
from apps.routing.errors import BackendInUse
from apps.routing.facts import settings_digest, settings_of, stored_settings
from apps.routing.fitting import PARTS, parts_that_stay
from apps.routing.models import (
    ENTRY_PATTERN,
    NAME_PATTERN,
    Backend,
    BackendState,
    Endpoint,
    Generation,
    Phase,
    UnitKind,
)
from apps.routing.policy import EndpointSettings
from apps.routing.services.generations import issue
from apps.routing.services.leases import lock
from contracts.addresses import AddressError, parse_address


def new_salt() -> str:
    """80 random bits, in hex."""
    return secrets.token_hex(10)


@transaction.atomic
def create_endpoint(
    *,
    actor: Principal,
    name: str,
    model: RegisteredModel,
    unit_kind: str = "user",
    sample_rate: float = 0.01,
    settings: Mapping[str, object] | None = None,
) -> Endpoint:
    """Add an endpoint that serves nothing yet. Its team is the model's."""
    authorise(actor, Permission.ROUTE, team_key=model.team.key)
    if not re.fullmatch(NAME_PATTERN, name):
        raise Invalid("a name is made of a-z, 0-9 and hyphens, up to 80", field="name")
    _check_options(unit_kind, sample_rate, settings or {})
    endpoint, created = Endpoint.objects.get_or_create(
        name=name,
        defaults={
            "team": model.team,
            "model": model,
            "unit_kind": unit_kind,
            "sample_rate": sample_rate,
            "settings": dict(settings or {}),
            "salt": new_salt(),
        },
    )
    if not created:
        raise Conflict(f"there is an endpoint {name!r} already", field="name")
    record(
        actor=actor,
        verb="endpoint.created",
        object_key=endpoint.key,
        team_key=model.team.key,
        after={"model": model.name, **_options(endpoint)},
    )
    return endpoint


@transaction.atomic
def update_endpoint(
    *,
    actor: Principal,
    endpoint: Endpoint,
    sample_rate: float | None = None,
    settings: Mapping[str, object] | None = None,
    seen: str | None = None,
    reason: str,
) -> Endpoint:
    """Change how an endpoint serves, not who gets what; gateways hear of it at once.

    `settings` replaces those of its parts ("limits", "policy") that it names, each as a whole.
    What it changes of the policy must fit the phase that runs; what it does not touch and has no
    place now (a shadow, while its version ramps) stays and is left out of the specification.
    `seen` is the `settings_digest` of what somebody looked at while deciding. Raises
    InvalidSettings, naming every field at fault, and Conflict when settings changed since.
    """
    authorise(actor, Permission.ROUTE, team_key=endpoint.team.key)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    locked = lock(endpoint)
    if seen is not None and seen != settings_digest(locked):
        raise Conflict(f"the settings of {locked.name} changed meanwhile: look again")
    before, stored = _options(locked), stored_settings(locked)
    if sample_rate is not None:
        locked.sample_rate = sample_rate
    if settings is not None:
        locked.settings = {**locked.settings, **settings}
    wanted = _check_options(locked.unit_kind, locked.sample_rate, locked.settings)
    locked.save(update_fields=["sample_rate", "settings"])
    stays = parts_that_stay(stored.policy, wanted.policy)
    generation = reissue(actor=actor, endpoint=locked, reason=reason, may_leave_out=stays)
    record(
        actor=actor,
        verb="endpoint.updated",
        object_key=locked.key,
        team_key=locked.team.key,
        before=before,
        after={
            **_options(locked),
            "generation": generation.number if generation else None,
            "left_out": generation.left_out if generation else [],
        },
        reason=reason,
    )
    return locked


def reissue(
    *,
    actor: Principal,
    endpoint: Endpoint,
    reason: str,
    may_leave_out: Collection[str] = PARTS,
) -> Generation | None:
    """A generation of the phase that runs, for what changed around it; None before the first.

    Nobody moves, so the revision stays. `may_leave_out`: see `issue`.
    """
    phase = endpoint.phase
    if phase is None:
        return None
    return issue(
        actor=actor, endpoint=endpoint, phase=phase, reason=reason, may_leave_out=may_leave_out
    )


@transaction.atomic
def register_backend(
    *,
    actor: Principal,
    version: ModelVersion,
    entry: str,
    addresses: Sequence[str],
    explainer: str | None = None,
) -> Backend:
    """Say where a version answers: Triton's name for it and where it is called.

    `explainer` is Triton's name of what explains it there, "" where nothing does; None leaves
    that as it is. Endpoints that serve the version hear of it at once. The same again does nothing.
    """
    authorise(actor, Permission.DEPLOY, team_key=version.model.team.key)
    _check_place(entry, addresses)
    ready = BackendState.READY.value
    values = {"entry": entry, "addresses": list(addresses), "state": ready}
    _lock_serving(version)
    _, created = Backend.objects.get_or_create(version=version, defaults=values)
    backend = Backend.objects.select_for_update().get(version=version)
    values["explainer"] = backend.explainer if explainer is None else explainer
    before = None if created else _place(backend)
    if before == values:
        return backend
    backend.entry, backend.addresses, backend.state = entry, list(addresses), ready
    backend.explainer = str(values["explainer"])
    backend.changed_at = timezone.now()
    backend.save(update_fields=["entry", "addresses", "explainer", "state", "changed_at"])
    record(
        actor=actor,
        verb="backend.registered",
        object_key=version.key,
        team_key=version.model.team.key,
        before=before,
        after=values,
    )
    for endpoint in _lock_serving(version):
        reissue(actor=actor, endpoint=endpoint, reason=_news(version, before, values))
    return backend


@transaction.atomic
def remove_backend(*, actor: Principal, version: ModelVersion) -> None:
    """Say that a version answers nowhere. Raises BackendInUse while an endpoint names it."""
    authorise(actor, Permission.DEPLOY, team_key=version.model.team.key)
    backend = Backend.objects.select_for_update().filter(version=version).first()
    if backend is None or backend.state == BackendState.GONE.value:
        return
    serving = Endpoint.objects.serving(version).values_list("name", flat=True)
    if serving:
        raise BackendInUse(f"{version.version_key} serves {', '.join(serving)}")
    Backend.objects.filter(pk=backend.pk).update(
        state=BackendState.GONE.value, explainer="", changed_at=timezone.now()
    )
    record(
        actor=actor,
        verb="backend.removed",
        object_key=version.key,
        team_key=version.model.team.key,
        before=_place(backend),
    )


def _lock_serving(version: ModelVersion) -> list[Endpoint]:
    """Endpoints before backends, as every reallocation locks them: no two wait for each other."""
    phases = Phase.objects.current().naming(version)
    return [lock(Endpoint(pk=pk)) for pk in sorted(phases.values_list("endpoint_id", flat=True))]


def _check_options(
    unit_kind: str, sample_rate: float, settings: Mapping[str, object]
) -> EndpointSettings:
    if unit_kind not in UnitKind.values:
        raise Invalid(f"unit_kind is one of {', '.join(UnitKind.values)}", field="unit_kind")
    if not 0 <= sample_rate <= 1:
        raise Invalid("sample_rate lies between 0 and 1", field="sample_rate")
    return settings_of(settings)


def _check_place(entry: str, addresses: Sequence[str]) -> None:
    if not re.fullmatch(ENTRY_PATTERN, entry):
        raise Invalid(f"entry {entry!r} is not of the form model-v3", field="entry")
    if not addresses:
        raise Invalid("a backend has at least one address", field="addresses")
    for number, address in enumerate(addresses):
        try:
            parse_address(address)
        except AddressError as error:
            raise Invalid(str(error), field=f"addresses[{number}]") from error


def _options(endpoint: Endpoint) -> dict[str, object]:
    return {
        "unit_kind": endpoint.unit_kind,
        "sample_rate": endpoint.sample_rate,
        "settings": endpoint.settings,
    }


def _news(
    version: ModelVersion, before: Mapping[str, object] | None, now: Mapping[str, object]
) -> str:
    """What changed about where a version answers, in words."""
    changed = {name for name in now if before is None or before[name] != now[name]}
    return f"{version.version_key} {'explained' if changed == {'explainer'} else 'moved'}"


def _place(backend: Backend) -> dict[str, object]:
    return {
        "entry": backend.entry,
        "addresses": backend.addresses,
        "explainer": backend.explainer,
        "state": backend.state,
    }
