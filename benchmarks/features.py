"""What each feature of an endpoint costs: its requests a second by those of the plain endpoint.

All endpoints stand in one table of one gateway. Each feature is measured in pairs with the plain
endpoint, in turn; the figure is the median of the ratios. Beside the rate, which Triton's own work
decides too (a shadow asks it twice, an ensemble of three three times), stands the processor time
that the gateway spends on a request, by that of a plain one.

    python -m benchmarks.features [--seconds 1.5] [--pairs 3] [--only shadow,rules]
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import psutil
import redis

from benchmarks import rig
from benchmarks.load import Load, run
from contracts.policy import (
    Cache,
    Condition,
    Ensemble,
    Lookup,
    LookupFeature,
    Mirror,
    Policy,
    Rule,
)
from contracts.preprocessing import Clip, Impute, Ordinal, Standardise
from contracts.routing import EndpointSpec
from contracts.schema import FeatureSpec

USERS = 64
RULES = 10
LOOKED_UP: Mapping[str, str | float] = {"x7": 1.75, "code": 1, "carrier": "UA"}
CARRIERS = ("DL", "UA", "AA")
PREPARED = msgspec.structs.replace(
    rig.SCHEMA,
    features=(
        *(FeatureSpec(name=name, kind="float", nullable=True) for name in rig.NUMBERS),
        FeatureSpec(name="carrier", kind="string", categories=CARRIERS),
    ),
    preprocessing=(
        Impute(inputs=rig.NUMBERS, values=(0.5,) * len(rig.NUMBERS)),
        Standardise(
            inputs=rig.NUMBERS, mean=(0.1,) * len(rig.NUMBERS), scale=(2.0,) * len(rig.NUMBERS)
        ),
        Clip(inputs=rig.NUMBERS, low=-3.0, high=3.0),
        Ordinal(inputs=("carrier",), outputs=("code",), categories=(CARRIERS,), refuse=True),
    ),
)
Pair = tuple["Cost", "Cost"]


@dataclass(frozen=True)
class Cost:
    """One run: requests a second, what failed, and the gateway's processor time a request."""

    rps: float
    p99_ms: float
    errors: int
    cpu_us: float


def plain(address: str) -> EndpointSpec:
    """One version, nothing else."""
    return rig.endpoint([rig.variant(1, address)], name="plain")


def shadow(address: str) -> EndpointSpec:
    """Every request is asked of a second version, too."""
    variants = [rig.variant(1, address), rig.variant(2, address, key="shadow", role="shadow")]
    return rig.endpoint(variants, policy=Policy(mirrors=(Mirror(variant="shadow"),)))


def rules(address: str) -> EndpointSpec:
    """Ten rules, of which the last one matches."""

    def rule(number: int, *, below: float) -> Rule:
        name = rig.NUMBERS[number % len(rig.NUMBERS)]
        when = Condition(subject="feature", comparison="lt", value=below, name=name)
        return Rule(name=f"rule {number}", when=(when,), endpoint="plain")

    never = (rule(number, below=-9.0) for number in range(RULES - 1))
    policy = Policy(rules=(*never, rule(RULES - 1, below=9.0)))
    return rig.endpoint([rig.variant(1, address)], policy=policy)


def ensemble(address: str) -> EndpointSpec:
    """The mean of three versions."""
    mean = Ensemble(combine="mean", members=("stable", "second", "third"))
    others = (
        rig.variant(number, address, key=key, role="member")
        for number, key in ((2, "second"), (3, "third"))
    )
    return rig.endpoint([rig.variant(1, address, ensemble=mean), *others])


def lookup(address: str) -> EndpointSpec:
    """Three features of each request come from Redis."""
    features = tuple(LookupFeature(name=name, default=value) for name, value in LOOKED_UP.items())
    return rig.endpoint([rig.variant(1, address)], policy=Policy(lookup=Lookup(features=features)))


def preprocessing(address: str) -> EndpointSpec:
    """Impute, standardise and clip eight numbers, and a category as its code."""
    return rig.endpoint([rig.variant(1, address, schema=PREPARED)])


def cache(address: str) -> EndpointSpec:
    """Every request but the first ones is answered from memory."""
    return rig.endpoint([rig.variant(1, address)], policy=Policy(cache=Cache()))


FEATURES: Mapping[str, Callable[[str], EndpointSpec]] = {
    each.__name__: each for each in (shadow, rules, ensemble, lookup, preprocessing, cache)
}


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", default=",".join(FEATURES))
    options = parser.parse_args()
    names = options.only.split(",")
    site = rig.Rig()
    try:
        prepare(site, names)
        print(f"load_average_at_start={os.getloadavg()[0]:.2f}")
        for name in names:
            report(name, measure(site, name, seconds=options.seconds, pairs=options.pairs))
        report_shadow(site)
    finally:
        site.stop()


def prepare(site: rig.Rig, names: Sequence[str]) -> None:
    """Three loaded versions, what is looked up, and a gateway that serves every endpoint."""
    site.start()
    for number in (1, 2, 3):
        rig.install_model(site.environment, number, bias=float(number))
    with redis.Redis.from_url(site.environment["REDIS_URL"]) as client:
        for number in range(USERS):
            stored: dict[Any, Any] = dict(LOOKED_UP)
            client.hset(f"user:user-{number}", mapping=stored)
    made = [msgspec.structs.replace(FEATURES[name](site.grpc_address), name=name) for name in names]
    site.publisher.publish(plain(site.grpc_address), *made)
    site.start_gateway()


def measure(site: rig.Rig, name: str, *, seconds: float, pairs: int) -> list[Pair]:
    """The endpoint and the plain one, in turn. Raises RuntimeError where a request fails."""
    ours, beside = load_of(site, name, seconds), load_of(site, "plain", seconds)
    for each in (ours, beside):
        require_answer(each)
        run(Load(each.url, each.bodies, each.authorization, seconds=0.5))
    return [(cost(site, ours), cost(site, beside)) for _ in range(pairs)]


def load_of(site: rig.Rig, name: str, seconds: float) -> Load:
    """Single rows of many users, with the features that a client of this endpoint sends."""
    left_out = {"lookup": set(LOOKED_UP), "preprocessing": {"code"}}.get(name, set())
    row = {key: value for key, value in rig.example().items() if key not in left_out}
    bodies = tuple(
        json.dumps({"model": name, "features": row, "user_id": f"user-{number}"})
        for number in range(USERS)
    )
    url = f"http://127.0.0.1:{site.port}/v1/predict"
    return Load(url, bodies, f"Bearer {rig.CLIENT_KEY}", seconds=seconds)


def require_answer(load: Load) -> None:
    """Raise unless the first body is answered by a model."""
    headers = {"Authorization": load.authorization}
    httpx.post(load.url, content=load.bodies[0], headers=headers, timeout=30).raise_for_status()


def cost(site: rig.Rig, load: Load) -> Cost:
    """One run."""
    before = _cpu_seconds(site)
    found = run(load)
    spent = _cpu_seconds(site) - before
    answered = found.requests_per_second * load.seconds
    return Cost(found.requests_per_second, found.p99_ms, found.errors, spent / answered * 1e6)


def report(name: str, found: Sequence[Pair]) -> None:
    """The figures of one feature, one a line."""
    figures = {
        f"{name}_vs_plain": _median([ours.rps / beside.rps for ours, beside in found]),
        f"{name}_cpu_vs_plain": _median([ours.cpu_us / beside.cpu_us for ours, beside in found]),
        f"{name}_rps": _median([ours.rps for ours, _ in found]),
        f"{name}_p99_ms": _median([ours.p99_ms for ours, _ in found]),
        f"{name}_cpu_us_per_request": _median([ours.cpu_us for ours, _ in found]),
        f"{name}_plain_rps": _median([beside.rps for _, beside in found]),
        f"{name}_errors": sum(ours.errors + beside.errors for ours, beside in found),
    }
    for key, value in figures.items():
        print(f"{key}={value}", flush=True)


def report_shadow(site: rig.Rig) -> None:
    """How many rows the shadow could take: what finds no room is dropped, and counted."""
    text = httpx.get(f"http://127.0.0.1:{site.port}/metrics").text
    lines = [line for line in text.splitlines() if "gateway_shadow_rows_total{" in line]
    for line in lines:
        result = line.partition('result="')[2].partition('"')[0]
        print(f"shadow_rows_{result}={line.rpartition(' ')[2]}")


def _cpu_seconds(site: rig.Rig) -> float:
    """Processor time of the gateway's processes so far."""
    parent = psutil.Process(site.running[0].pid)
    times = [each.cpu_times() for each in (parent, *parent.children())]
    return float(sum(each.user + each.system for each in times))


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
