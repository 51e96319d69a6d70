"""One HTTP request on its way through the gateway, and the answer that is formatted for it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplane.gateway.http import Connection

JSON = b"application/json"
_NONE: Mapping[bytes, bytes] = {}
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Exchange:
    """One request and the place for its answer. `started` is time.perf_counter().

    `headers` has those of KEPT that came, by lower-case name; `fault` is set where the request
    is to be refused as it is: the status and what is wrong.
    """

    __slots__ = (
        *("authorization", "body", "connection", "fault", "headers", "keep_alive"),
        *("method", "path", "payload", "started"),
    )

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.method = b""
        self.path = b""
        self.authorization = b""
        self.headers = _NONE
        self.body = b""
        self.fault: tuple[int, str] | None = None
        self.keep_alive = True
        self.payload: bytes | None = None
        self.started = 0.0

    def ok(self, body: bytes) -> None:
        """Answer 200 with JSON: the hot path."""
        head = self.connection.server.ok_head if self.keep_alive else None
        if head is None:
            self.respond(200, body)
        else:
            self.connection.answer(self, b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def respond(
        self, status: int, body: bytes, *, content_type: bytes = JSON, headers: bytes = b""
    ) -> None:
        """Answer. `headers` are further complete header lines."""
        if not self.keep_alive:
            headers += b"Connection: close\r\n"
        self.connection.answer(
            self,
            b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b"
            % (
                status,
                _REASONS[status],
                self.connection.server.date,
                content_type,
                headers,
                len(body),
                b"" if self.method == b"HEAD" else body,
            ),
        )
