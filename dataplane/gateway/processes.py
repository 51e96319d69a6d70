"""Several gateway processes on one port, one a core: a parent that starts them and keeps them up.

Each is a gateway of the fleet in its own right, `gateway-1.1`, `gateway-1.2`: with a boot, a spool
and a routing table of its own. They share the port (SO_REUSEPORT: the kernel spreads connections),
the overrides, and what clients have used of their rates. The parent serves nothing; it restarts
who ends, passes SIGTERM on, and ends when all are drained.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable

import structlog

from dataplane.gateway.rates import empty
from dataplane.settings import GatewaySettings

log = structlog.get_logger()

PR_SET_PDEATHSIG = 1
PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 5.0
STEADY_S = 10.0
INSIST_S = 5.0


def count_of(settings: GatewaySettings) -> int:
    """How many processes to run: 0 stands for one a core that this process may use."""
    return settings.gateway_processes or len(os.sched_getaffinity(0))


class Parent:
    """Keeps `count` children up until SIGTERM or SIGINT."""

    def __init__(self, settings: GatewaySettings, count: int) -> None:
        self._settings = settings
        self._count = count
        self._ending = asyncio.Event()
        self._children: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        """Until told to end and all have drained. Raises OSError when the port is taken."""
        self._require_port()
        empty(self._settings.rates)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        kept = [loop.create_task(self._keep(each + 1)) for each in range(self._count)]
        log.info("gateway.parent", gateway=self._settings.gateway_name, processes=self._count)
        await self._ending.wait()
        self._signal(signal.SIGTERM)
        patience = self._settings.gateway_leave_s + self._settings.gateway_drain_s + INSIST_S
        _, late = await asyncio.wait(kept, timeout=patience)
        if late:
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)

    async def _keep(self, number: int) -> None:
        """Start a child again whenever it ends; later and later when it ends at once."""
        loop, pause = asyncio.get_running_loop(), PAUSE_FIRST_S
        self._seed(number)
        while not self._ending.is_set():
            started_at = loop.time()
            child = self._children[number] = await self._start(number)
            if self._ending.is_set():
                child.terminate()
            status = await child.wait()
            if self._ending.is_set():
                return
            log.error("process.ended", process=number, status=status)
            steady = loop.time() - started_at > STEADY_S
            pause = PAUSE_FIRST_S if steady else min(2 * pause, PAUSE_MOST_S)
            await self._wait(pause)

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        own = {"GATEWAY_PROCESS": str(number), "GATEWAY_PROCESSES": str(self._count)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "dataplane.gateway"),
            env={**os.environ, **own},
            preexec_fn=_ends_with_parent(),
        )

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.returncode is None:
                child.send_signal(number)

    def _seed(self, number: int) -> None:
        """A process that has no routing table yet starts with that of the only one before."""
        before, own = self._settings.gateway_state / "routing", self._settings.home_of(number)
        if before.is_dir() and not (own / "routing").exists():
            shutil.copytree(before, own / "routing")

    def _require_port(self) -> None:
        """Children share the port with whoever else allows it, so look before."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(self._settings.listen)


def _ends_with_parent() -> Callable[[], None]:
    """Ask the kernel to end the child gracefully when its parent goes, whatever way it goes."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return arrange
