"""Bodies over the limit end here: Django would first write all of one to disk, and then refuse."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from controlplane.problems import MEDIA_TYPE

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Wraps an ASGI application; `limit` in bytes."""

    def __init__(self, application: Application, *, limit: int) -> None:
        self._application = application
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """413 for a body that says it is too large; one that turns out to be is cut off."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif _announced(dict(scope["headers"]).get(b"content-length", b"")) > self._limit:
            await self._refuse(send)
        else:
            await self._application(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        got = 0

        async def counted() -> Mapping[str, Any]:
            nonlocal got
            message = await receive()
            if message["type"] == "http.request":
                got += len(message["body"])
                if got > self._limit:
                    return {"type": "http.disconnect"}
            return message

        return counted

    async def _refuse(self, send: Send) -> None:
        body = json.dumps(
            {
                "type": "urn:switchyard:problem:too-large",
                "title": "Body too large",
                "status": 413,
                "detail": f"a body may have {self._limit} bytes",
            }
        ).encode()
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _announced(length: bytes) -> int:
    return int(length) if length.isdigit() else 0
