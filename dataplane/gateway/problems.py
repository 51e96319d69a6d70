"""Refusals and their RFC 9457 problem details. Nothing of the request's values is repeated."""

from collections.abc import Mapping, Sequence

import msgspec

PROBLEM_JSON = b"application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """One fault: the JSON path, and what is wrong there."""

    path: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is not a success.

    `error` says all of it in one line, for clients of the Open Inference Protocol.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    error: str = ""


_HTTP_FAULTS = {
    400: "malformed_http",
    408: "request_timeout",
    413: "too_large",
    417: "expectation_failed",
    431: "head_too_large",
    503: "too_much_unfinished",
}
NO_FAULTS: Mapping[tuple[str, str], int] = {}


class Refusal(Exception):
    """The request is answered with a problem instead of a prediction.

    `code` names the problem, `reason` (by default the code) what it is counted under; `endpoint`
    and `feature` say what it concerned, where known; `retry_after` (seconds) invites to come back.
    `faults` counts what is wrong with features, by kind of fault and feature; a feature that the
    schema does not have is "".
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
        self.faults = NO_FAULTS
        self.retry_after = retry_after

    def problem(self, *, error: str = "") -> Problem:
        """The problem; with `error` for those who look only there."""
        title = self.code.replace("_", " ").capitalize()
        kind = f"urn:switchyard:problem:{self.code}"
        return Problem(kind, title, self.status, self.detail, self.errors, error)

    def body(self) -> bytes:
        """The problem as JSON."""
        return msgspec.json.encode(self.problem())

    def summary(self) -> str:
        """The problem in one line."""
        return "; ".join(f"{each.path}: {each.detail}" for each in self.errors) or self.detail

    def headers(self) -> bytes:
        """Header lines that belong to the problem."""
        lines = b"Retry-After: %d\r\n" % self.retry_after if self.retry_after else b""
        if self.status == 401:
            lines += b'WWW-Authenticate: Bearer realm="switchyard"\r\n'
        return lines


def not_http(status: int, detail: str) -> Refusal:
    """What is wrong with a request as HTTP, or with how much of them there is."""
    return Refusal(status, _HTTP_FAULTS[status], detail, retry_after=1 if status == 503 else 0)


def at(path: str, detail: str) -> tuple[FieldError, ...]:
    """The errors of a problem with one fault."""
    return (FieldError(path, detail),)
