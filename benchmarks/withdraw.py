"""How long a failing candidate goes on answering: from its first bad answer to its last.

A gateway on real Triton, 200 requests/s by users of unequal activity, a candidate at 5 % of the
users that raises for a fifth of its requests. The control plane is not running: this is the
gateway's own guardrail. Each run is a new rollout with other users on the candidate.

    python -m benchmarks.withdraw [--runs 10] [--rate 200]
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import httpx

from benchmarks import rig
from contracts.routing import OVERRIDES_KEY, EndpointSpec, Guardrail

CANDIDATE_CODES = 8
FAILING_SHARE = 0.2
USERS = 4_000
# The r-th most active user asks in proportion to r ** -0.5: the busiest 10 % ask a third of it all.
ACTIVITY = list(accumulate((rank + 1) ** -0.5 for rank in range(USERS)))
LIMIT_S = 30.0
AFTER_S = 1.0


@dataclass(frozen=True)
class Run:
    """What one rollout cost: seconds from first to last bad answer, and how many there were."""

    seconds: float
    bad: int


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rate", type=int, default=200)
    options = parser.parse_args()
    site = rig.Rig().start()
    try:
        rig.install_model(site.environment, 1)
        rig.install_model(site.environment, 2, codes=CANDIDATE_CODES)
        site.publisher.publish(_spec(site, 0))
        site.start_gateway()
        runs = [asyncio.run(_measure(site, number, options.rate)) for number in _numbers(options)]
    finally:
        site.stop()
    report(runs)


def _numbers(options: argparse.Namespace) -> Iterator[int]:
    yield from range(1, options.runs + 1)


def _spec(site: rig.Rig, number: int) -> EndpointSpec:
    """Rollout `number`: version 2 at 5 %, watched at alpha 1 %."""
    rollout = f"rollout:{number}"
    return rig.endpoint(
        (
            rig.variant(1, site.address),
            rig.variant(2, site.address, key="canary", role="canary"),
        ),
        {"stable": 9_500, "canary": 500},
        phase=number + 1,
        salt=f"salt-{number}",
        rollout=rollout,
        guardrails=(Guardrail(rollout=rollout, candidate="canary", baseline="stable"),),
    )


async def _measure(site: rig.Rig, number: int, rate: int) -> Run:
    """One rollout under load, until a while after the gateway has reported its withdrawal."""
    site.publisher.publish(_spec(site, number))
    bad: list[float] = []
    chance = random.Random(number)
    headers = {"Authorization": f"Bearer {rig.CLIENT_KEY}", "Content-Type": "application/json"}
    address = f"http://127.0.0.1:{site.port}"
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=5) as client:
        began = time.perf_counter()
        sent: list[asyncio.Task[None]] = []
        while not _over(site, number, began):
            sent.append(asyncio.create_task(_ask(client, _body(chance), bad)))
            await asyncio.sleep(max(0.0, began + len(sent) / rate - time.perf_counter()))
        await asyncio.gather(*sent)
    return Run(seconds=bad[-1] - bad[0] if bad else 0.0, bad=len(bad))


def _over(site: rig.Rig, number: int, began: float) -> bool:
    """Whether the withdrawal is reported (and AFTER_S have passed), or the time is over."""
    if time.perf_counter() - began > LIMIT_S:
        raise TimeoutError(f"rollout {number} was not withdrawn in {LIMIT_S} s")
    field = f"{site.environment['GATEWAY_NAME']}:rollout:{number}:canary"
    reported = site.publisher.client.hget(OVERRIDES_KEY, field)
    return reported is not None and time.time() - json.loads(reported)["at"] > AFTER_S


def _body(chance: random.Random) -> bytes:
    """A request of a user; some come far more often than others."""
    user = bisect(ACTIVITY, chance.random() * ACTIVITY[-1])
    code = CANDIDATE_CODES if chance.random() < FAILING_SHARE else 1
    request = {"model": "rig", "user_id": f"user-{user}", "features": rig.example(code=code)}
    return json.dumps(request).encode()


async def _ask(client: httpx.AsyncClient, body: bytes, bad: list[float]) -> None:
    answer = await client.post("/v1/predict", content=body)
    if answer.status_code >= 500:
        bad.append(time.perf_counter())


def report(runs: list[Run]) -> None:
    """The figures, one a line."""
    seconds = sorted(run.seconds for run in runs)
    print(f"withdraw_runs={len(runs)}")
    print(f"withdraw_s={statistics.median(seconds):.2f}")
    print(f"withdraw_worst_s={seconds[-1]:.2f}")
    print(f"withdraw_bad_answers={statistics.median(run.bad for run in runs):.0f}")


if __name__ == "__main__":
    main()
