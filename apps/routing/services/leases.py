"""One holder at a time: a rollout or an experiment leases an endpoint, or people change it."""

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events.errors import Invalid
from apps.events.services import record
from apps.routing.errors import LeaseHeld, RevisionConflict
from apps.routing.models import Endpoint

EXPERIMENT = "experiment:"


def permission_for(holder: str) -> Permission:
    """What changing weights asks for: experiments are an analyst's business, too."""
    return Permission.EXPERIMENT if holder.startswith(EXPERIMENT) else Permission.ROUTE


def lock(endpoint: Endpoint) -> Endpoint:
    """The endpoint's row, fresh and locked until the commit."""
    return (
        Endpoint.objects.select_for_update(of=("self",))
        .select_related("team", "model")
        .get(pk=endpoint.pk)
    )


def check_holder(endpoint: Endpoint, holder: str) -> None:
    """Raises LeaseHeld unless `holder` is who may change the endpoint now ("" = people)."""
    if endpoint.lease_holder == holder:
        return
    held_by = endpoint.lease_holder or "nobody"
    raise LeaseHeld(f"endpoint {endpoint.name} is held by {held_by}")


def check_revision(endpoint: Endpoint, expected: int) -> None:
    """Raises RevisionConflict when the endpoint changed since the caller looked."""
    if endpoint.revision != expected:
        raise RevisionConflict(
            f"endpoint {endpoint.name} is at revision {endpoint.revision}, not {expected}",
            field="expected_revision",
        )


@transaction.atomic
def acquire_lease(*, actor: Principal, endpoint: Endpoint, holder: str) -> Endpoint:
    """Lease the endpoint to `holder` until it lets go; again by the same holder is fine.

    There is no expiry: a rollout whose process died still owns its endpoint when it goes on.
    """
    authorise(actor, permission_for(holder), team_key=endpoint.team.key)
    if not holder:
        raise Invalid("a lease needs a holder", field="holder")
    locked = lock(endpoint)
    if locked.lease_holder == holder:
        return locked
    check_holder(locked, "")
    return _hand_over(actor, locked, holder, verb="endpoint.leased")


@transaction.atomic
def release_lease(*, actor: Principal, endpoint: Endpoint, holder: str) -> Endpoint:
    """Let go of the endpoint; when nobody holds it any more nothing happens."""
    authorise(actor, permission_for(holder), team_key=endpoint.team.key)
    locked = lock(endpoint)
    if not locked.lease_holder:
        return locked
    check_holder(locked, holder)
    return _hand_over(actor, locked, "", verb="endpoint.released")


@transaction.atomic
def transfer_lease(*, actor: Principal, endpoint: Endpoint, holder: str, to: str) -> Endpoint:
    """Hand the lease from one holder to the next; nobody moves and nobody gets in between."""
    authorise(actor, permission_for(holder), team_key=endpoint.team.key)
    authorise(actor, permission_for(to), team_key=endpoint.team.key)
    if not holder or not to:
        raise Invalid("a lease is handed from one holder to another", field="to")
    locked = lock(endpoint)
    if locked.lease_holder == to:
        return locked
    check_holder(locked, holder)
    return _hand_over(actor, locked, to, verb="endpoint.lease_transferred")


def _hand_over(actor: Principal, endpoint: Endpoint, holder: str, *, verb: str) -> Endpoint:
    before = endpoint.lease_holder
    endpoint.lease_holder = holder
    endpoint.leased_at = timezone.now() if holder else None
    endpoint.save(update_fields=["lease_holder", "leased_at"])
    record(
        actor=actor,
        verb=verb,
        object_key=endpoint.key,
        team_key=endpoint.team.key,
        before={"holder": before},
        after={"holder": holder},
    )
    return endpoint
