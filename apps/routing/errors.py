"""What this app refuses. Free of Django: the pure compiler raises these too."""

from collections.abc import Sequence
from typing import NamedTuple

from apps.events.errors import Conflict, DomainError, Invalid


class VersionNotApproved(DomainError):
    """The version's stage, or the content that was approved, does not allow this traffic."""

    code = "version-not-approved"
    title = "Version not approved for this traffic"


class NoBackend(DomainError):
    """The version is loaded nowhere, so nothing could answer for it."""

    code = "no-backend"
    title = "Version is not deployed"


class LeaseHeld(Conflict):
    """Somebody else holds the endpoint's lease: a rollout, an experiment, or nobody."""

    code = "lease-held"
    title = "Endpoint is held"


class RevisionConflict(Conflict):
    """The endpoint was reallocated since it was read."""

    code = "revision-conflict"
    title = "Endpoint changed meanwhile"


class BackendInUse(Conflict):
    """Traffic goes to the backend."""

    code = "backend-in-use"
    title = "Backend in use"


class InvalidWeights(Invalid):
    """Variants, roles or weights that do not describe an allocation."""

    code = "invalid-weights"
    title = "Invalid weights"


class Fault(NamedTuple):
    """What is wrong with one field: its JSON path, and in words."""

    path: str
    detail: str


class InvalidSettings(Invalid):
    """Settings of an endpoint that cannot be read, make no sense, or fit nothing that it serves."""

    code = "invalid-settings"
    title = "Invalid settings"

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(f"{first.path}: {first.detail}", field=first.path, faults=faults)
