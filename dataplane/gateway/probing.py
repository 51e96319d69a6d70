"""Looks after the replicas in use: probes them, and warms up those that come back."""

import asyncio
from collections.abc import Iterable

from dataplane.gateway.replicas import Channels, Replica

RETURN_S = 0.25
PROBE_TIMEOUT_S = 1.0
WARM_UP_TIMEOUT_S = 5.0


class Prober:
    """One task a replica. A replica that answered rows since the last look needs no probe."""

    def __init__(self, channels: Channels, *, every_s: float) -> None:
        self._every_s = every_s
        self._tasks: dict[Replica, asyncio.Task[None]] = {}
        channels.on_new_replica = self._watch

    def keep_only(self, replicas: Iterable[Replica]) -> None:
        """Look after these alone."""
        kept = set(replicas)
        for replica in self._tasks.keys() - kept:
            self._tasks.pop(replica).cancel()

    def stop(self) -> None:
        """Look after none any more."""
        self.keep_only(())

    def _watch(self, replica: Replica) -> None:
        self._tasks[replica] = asyncio.get_running_loop().create_task(self._look_after(replica))

    async def _look_after(self, replica: Replica) -> None:
        while True:
            serving = replica.health.state == "serving"
            await asyncio.sleep(self._every_s if serving else min(RETURN_S, self._every_s))
            if replica.heard:
                replica.heard = False
                continue
            await replica.probe(PROBE_TIMEOUT_S)
            while replica.health.state == "warming":
                await replica.warm_up(WARM_UP_TIMEOUT_S)
