"""Refusals and their RFC 9457 problem details. Nothing of the request's values is repeated."""

from collections.abc import Sequence

import msgspec

PROBLEM_JSON = b"application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """One fault: the JSON path, and what is wrong there."""

    path: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is not a success."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class Refusal(Exception):
    """The request is answered with a problem instead of a prediction.

    `code` names the problem, `reason` (by default the code) what it is counted under; `endpoint`
    and `feature` say what it concerned, where known; `retry_after` (seconds) invites to come back.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        reason: str = "",
        endpoint: str = "",
        feature: str = "",
        retry_after: int = 0,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.reason = reason or code
        self.detail = detail
        self.errors = tuple(errors)
        self.endpoint = endpoint
        self.feature = feature
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The problem as JSON."""
        title = self.code.replace("_", " ").capitalize()
        kind = f"urn:switchyard:problem:{self.code}"
        return msgspec.json.encode(Problem(kind, title, self.status, self.detail, self.errors))

    def headers(self) -> bytes:
        """Header lines that belong to the problem."""
        lines = b"Retry-After: %d\r\n" % self.retry_after if self.retry_after else b""
        if self.status == 401:
            lines += b'WWW-Authenticate: Bearer realm="switchyard"\r\n'
        return lines


def at(path: str, detail: str) -> tuple[FieldError, ...]:
    """The errors of a problem with one fault."""
    return (FieldError(path, detail),)
