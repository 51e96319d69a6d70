"""One keep-alive HTTP/1.1 connection to the gateway: thin enough to send hundreds a second."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import msgspec

TIMEOUT_S = 10.0


class Reply(msgspec.Struct, frozen=True):
    """Status and body of one answer."""

    status: int
    body: bytes


class Connection:
    """POSTs JSON, one request at a time; connects when needed and again after a failure."""

    def __init__(self, *, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._head = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> Reply:
        """The gateway's answer. OSError, asyncio.IncompleteReadError or TimeoutError without."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(path, body)
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            await self.close()  # half an answer may be on the wire
            raise

    async def close(self) -> None:
        """Drop the connection; the next `post` opens another."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _exchange(self, path: str, body: bytes) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        head = b"POST %s HTTP/1.1\r\n%s%d\r\n\r\n" % (path.encode(), self._head, len(body))
        writer.write(head + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b":", 1) for line in lines[1:] if b":" in line)
        reply = Reply(
            int(lines[0].split(b" ", 2)[1]),
            await reader.readexactly(int(headers.get(b"content-length", b"0"))),
        )
        if headers.get(b"connection", b"").strip() == b"close":
            await self.close()
        return reply
