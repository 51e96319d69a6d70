"""What the processes on one port tell as one: whichever is scraped answers for all of them."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping

ASK_S = 1.0
FAMILY = "# TYPE "


class Siblings:
    """Each process hands its figures to the others over a socket in the abstract namespace."""

    def __init__(self, *, names: Mapping[int, str], own: int, figures: Callable[[], bytes]) -> None:
        self._names = names
        self._own = own
        self._figures = figures
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answer the others."""
        self._server = await asyncio.start_unix_server(
            self._tell, path=_address(self._names[self._own])
        )

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()

    async def figures(self) -> bytes:
        """Everybody's, labelled with the process; one that does not answer is left out."""
        told = await asyncio.gather(*map(self._ask, self._names.items()))
        named = zip(self._names.values(), told, strict=True)
        return merged({name: text for name, text in named if text is not None})

    async def _ask(self, sibling: tuple[int, str]) -> bytes | None:
        number, name = sibling
        if number == self._own:
            return self._figures()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_unix_connection(sock=_socket_to(name))
                with contextlib.closing(writer):
                    return await reader.read(-1)
        return None

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            writer.write(self._figures())
            await writer.drain()


def merged(texts: Mapping[str, bytes]) -> bytes:
    """Prometheus texts as one: each family once, its samples labelled with their process."""
    families: dict[str, list[str]] = {}
    for process, text in texts.items():
        samples: list[str] = []
        for line in text.decode().splitlines():
            if line.startswith(FAMILY):
                samples = families.setdefault(line, [])
            else:
                samples.append(_labelled(line, process))
    lines = [line for family, samples in families.items() for line in (family, *samples)]
    return ("\n".join(lines) + "\n").encode()


def _labelled(sample: str, process: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{process="{process}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{process="{process}"}} {value}'


def _socket_to(name: str) -> socket.socket:
    """Connected here, as uvloop cannot connect to abstract names. Raises OSError."""
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.setblocking(False)
        connected.connect(_address(name))
    except OSError:
        connected.close()
        raise
    return connected


def _address(name: str) -> str:
    return f"\0switchyard-{os.getppid()}-{name}"
