"""`python -m dataplane.gateway`: serve until SIGTERM or SIGINT, then drain.

With GATEWAY_PROCESSES it starts that many of itself instead, which share the port.
"""

import asyncio
import gc
import os
import signal
import sys
import time

import structlog
import uvloop

from dataplane.gateway.processes import Parent, count_of
from dataplane.gateway.server import Gateway
from dataplane.gateway.tls import TlsError
from dataplane.settings import GatewaySettings

log = structlog.get_logger()

# Requests leave no cycles behind: collect rarely, as a full pass over a large table takes long.
GC_THRESHOLDS = (50_000, 50, 50)


def new_boot() -> str:
    """An id for this run of the process; later boots sort later."""
    return f"{int(time.time() * 1_000):012x}{os.urandom(6).hex()}"


async def serve(settings: GatewaySettings) -> None:
    """Run one gateway until it is told to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    gateway = Gateway(settings, boot=new_boot())
    await gateway.start()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await ended.wait()
    await gateway.stop()


def main() -> int:
    """Exit code 0 after a drain, 1 when the port is taken or the settings can never work."""
    settings = GatewaySettings()
    count = count_of(settings)
    try:
        if settings.gateway_process or count == 1:
            uvloop.run(serve(settings))
        else:
            uvloop.run(Parent(settings, count).run())
    except (OSError, TlsError) as error:
        log.error("gateway.failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
