"""The root of every domain error; `controlplane.problems` turns them into problem details."""

from collections.abc import Sequence


class DomainError(Exception):
    """Something that the domain refuses, in words for whoever asked.

    `code` is stable and machine-readable, `status` the HTTP status that fits, `field` the input
    field at fault (a JSON path), if one is. `faults` are pairs (path, words) for an error that
    tells of several fields at once.
    """

    code = "refused"
    title = "Refused"
    status = 409

    def __init__(
        self, detail: str, *, field: str | None = None, faults: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.faults = tuple(faults) or (((field, detail),) if field else ())


class NotFound(DomainError):
    """The object named does not exist, or is not to be seen by whoever asks."""

    code = "not-found"
    title = "Not found"
    status = 404


class Invalid(DomainError):
    """The input is well-formed and makes no sense; `field` names where."""

    code = "invalid"
    title = "Invalid input"
    status = 422


class Forbidden(DomainError):
    """Whoever asks may not do this."""

    code = "forbidden"
    title = "Not allowed"
    status = 403


class Conflict(DomainError):
    """The state of things does not allow this now; look again and decide anew."""

    code = "conflict"
    title = "Conflict"
    status = 409


class Unavailable(DomainError):
    """Something this needs is away; the same call may succeed later."""

    code = "unavailable"
    title = "Temporarily unavailable"
    status = 503
