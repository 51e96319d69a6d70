"""A line to a server on which everything takes longer, from one moment to another."""

import asyncio
import threading

from contracts.addresses import parse_address


class SlowLine(threading.Thread):
    """Forwards TCP connections to `target` ("http://host:port"); `delay_s` holds answers back.

    As a context it listens on `address`.
    """

    def __init__(self, target: str) -> None:
        super().__init__(name="slow-line", daemon=True)
        self._target = parse_address(target)
        self._listening = threading.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self.address = ""
        self.delay_s = 0.0

    def __enter__(self) -> "SlowLine":
        self.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join(10)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.address = f"{self._target.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._listening.set()
        await self._ended.wait()
        server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(
            *(writer.wait_closed() for writer in self._writers), return_exceptions=True
        )

    async def _connect(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        self._writers.append(answer)
        far, ask = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers.append(ask)
        await asyncio.gather(self._pass_on(near, ask), self._hold_back(far, answer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def _hold_back(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Everything arrives `delay_s` after it was said, in order."""
        while data := await source.read(65_536):
            self._loop.call_later(self.delay_s, sink.write, data)
        sink.close()
