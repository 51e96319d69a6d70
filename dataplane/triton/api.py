"""The puller's HTTP API: a plain ASGI application behind a bearer token.

PUT /v1/entries/{entry} (a signed manifest) -> 202, GET /v1/entries[/{entry}], DELETE
/v1/entries/{entry} -> 204; /healthz and /readyz need no token.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from contracts import signing
from dataplane.triton.control import TritonAway
from dataplane.triton.entries import Puller, StaleManifest
from dataplane.triton.repository import ManifestRefused, is_entry_name

MAX_BODY = 1 << 20
ENTRIES = "/v1/entries"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, object]

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    422: "Refused",
    503: "Unavailable",
}


class Problem(Exception):
    """An answer other than success, as an RFC 9457 problem."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class PullerApi:
    """The ASGI application; starts and stops the puller with the server."""

    def __init__(self, puller: Puller, token: str) -> None:
        self._puller = puller
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return None
        try:
            status, body = await self._answer(scope, receive)
        except Problem as problem:
            status, body = problem.status, _document(problem)
        return await _send(send, status, body)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._puller.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._puller.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            return 200, {"status": "ok"}
        if path == "/readyz":
            return self._readiness()
        self._authenticate(scope)
        if path == ENTRIES and method == "GET":
            return 200, {"entries": self._puller.all()}
        if path.startswith(f"{ENTRIES}/"):
            return await self._entry(path.removeprefix(f"{ENTRIES}/"), method, receive)
        raise Problem(404, f"there is nothing at {path}")

    def _readiness(self) -> Answer:
        if not self._puller.triton_ready:
            raise Problem(503, "Triton is away")
        return 200, {"status": "ready"}

    def _authenticate(self, scope: Scope) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._expected):
            raise Problem(401, "a bearer token is needed")

    async def _entry(self, name: str, method: str, receive: Receive) -> Answer:
        if not is_entry_name(name):
            raise Problem(404, f"{name!r} is no entry name")
        if method == "PUT":
            return 202, self._put(name, await _read(receive))
        if method == "DELETE":
            return await self._delete(name)
        if method != "GET":
            raise Problem(405, f"{method} is not offered here")
        state = self._puller.get(name)
        if state is None:
            raise Problem(404, f"{name} is not desired here")
        return 200, state

    def _put(self, name: str, body: bytes) -> object:
        try:
            return self._puller.put(name, signing.decode(body))
        except StaleManifest as error:
            raise Problem(409, str(error)) from error
        except ManifestRefused as error:
            raise Problem(422, str(error)) from error
        except msgspec.DecodeError as error:
            raise Problem(400, f"the body is no signed document: {error}") from error

    async def _delete(self, name: str) -> Answer:
        try:
            known = await self._puller.delete(name)
        except TritonAway as error:
            raise Problem(503, str(error)) from error
        if not known:
            raise Problem(404, f"{name} is not desired here")
        return 204, None


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        body += chunk
        if len(body) > MAX_BODY:
            raise Problem(413, f"a manifest has at most {MAX_BODY} bytes")
        if not message.get("more_body"):
            return body


def _document(problem: Problem) -> dict[str, object]:
    return {
        "type": "about:blank",
        "title": _TITLES[problem.status],
        "status": problem.status,
        "detail": problem.detail,
    }


async def _send(send: Send, status: int, body: object) -> None:
    payload = b"" if body is None else msgspec.json.encode(body)
    kind = b"application/json" if status < 400 else b"application/problem+json"
    headers = [(b"content-type", kind), (b"content-length", str(len(payload)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
