"""What looking features up costs a micro-batch: 32 users, 3 features each, a real Valkey."""

import time
from types import SimpleNamespace
from typing import Any, cast

import redis
import uvloop

from benchmarks import rig
from contracts.policy import Lookup, LookupFeature
from dataplane.gateway.lookup import FeatureLookup
from dataplane.gateway.store import Store
from embedded.private import PrivateServices
from serving.lookup import StoredFeatures

ROWS, REPEATS = 32, 2_000
STORED = {"x7": "0.25", "code": "2", "carrier": "DL"}
LOOKUP = Lookup(
    features=(
        LookupFeature(name="x7", default=0.0),
        LookupFeature(name="code", default=0),
        LookupFeature(name="carrier", default="AA"),
    ),
    budget_ms=1_000.0,
)


def rows() -> list[Any]:
    """Rows as the batcher hands them over, without the three features."""
    bare = (*(0.5 for _ in rig.NUMBERS[:-1]), None, None, None)
    variant = SimpleNamespace(endpoint="rig")
    return [
        SimpleNamespace(values=bare, user=str(number), flags=0, variant=variant)
        for number in range(ROWS)
    ]


async def measure(url: str) -> tuple[float, float]:
    """Wall and processor time of one micro-batch, microseconds: the best of many."""
    store = Store(url)
    assert await store.ready(5.0)
    features = StoredFeatures(rig.SCHEMA, LOOKUP)
    lookup = FeatureLookup(features, LOOKUP, store=store, count=lambda *_: None)
    wall = processor = float("inf")
    for _ in range(REPEATS):
        batch = rows()
        began, began_processor = time.perf_counter(), time.process_time()
        await lookup.fill(cast(Any, batch))
        wall = min(wall, time.perf_counter() - began)
        processor = min(processor, time.process_time() - began_processor)
        assert batch[0].flags == 0
    store.close()
    return wall * 1e6, processor * 1e6


def main() -> None:
    """Print the figures."""
    services = PrivateServices()
    try:
        services.start_valkey()
        client = redis.Redis.from_url(services.valkey().url())
        for number in range(ROWS):
            client.hset(f"user:{number}", mapping=cast(Any, STORED))
        client.close()
        wall, processor = uvloop.run(measure(services.valkey().url()))
    finally:
        services.stop()
    print(f"lookup_us={wall:.0f}")
    print(f"lookup_cpu_us={processor:.0f}")


if __name__ == "__main__":
    main()
