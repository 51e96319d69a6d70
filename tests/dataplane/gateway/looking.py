"""An endpoint that looks features up, as tests ask it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks import rig
from contracts.policy import Cache, Lookup, LookupFeature, Policy
from contracts.records import Record
from tests.dataplane.gateway.site import Reply, Site, eventually

LOOKED_UP = ("x7", "code", "carrier")
LOOKUP = Lookup(
    features=(
        LookupFeature(name="x7", default=0.0),
        LookupFeature(name="code", default=1),
        LookupFeature(name="carrier", default="AA"),
        LookupFeature(name="of another version"),
    ),
    budget_ms=2_000.0,
)


@dataclass
class Looking:
    """An endpoint with a lookup, by a name of its own on a gateway that tests share."""

    site: Site
    name: str

    def serve(self, *, cache: Cache | None = None, **lookup: Any) -> None:
        """Publish it, beside the rig's endpoint, which looks nothing up."""
        policy = Policy(lookup=msgspec.structs.replace(LOOKUP, **lookup), cache=cache)
        spec = self.site.endpoint(name=self.name, sample_rate=1.0, policy=policy)
        self.site.publish(self.site.endpoint(), spec)

    def ask(self, user: str | None = "42", **features: Any) -> Reply:
        """A request without the looked-up features, except those given."""
        sent = {name: value for name, value in rig.example().items() if name not in LOOKED_UP}
        body: dict[str, Any] = {"model": self.name, "features": {**sent, **features}}
        return self.site.post("/v1/predict", body | ({"user_id": user} if user else {}))

    def store(self, user: str = "42", **values: float | str) -> None:
        mapping: dict[Any, Any] = {**values}
        self.site.redis.hset(f"user:{user}", mapping=mapping)

    def counted(self) -> dict[str, int]:
        """The metric by result."""
        text = self.site.get("/metrics").body.decode()
        prefix = f'switchyard_gateway_lookups_total{{endpoint="{self.name}",result="'
        lines = [line.removeprefix(prefix) for line in text.splitlines() if prefix in line]
        return {line.partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}

    def records(self, count: int) -> list[Record]:
        """Its records, once there are so many."""

        def found() -> list[Record]:
            batches = self.site.batches()
            return [r for batch in batches for r in batch.records if r.endpoint == self.name]

        eventually(lambda: len(found()) == count)
        return found()


def prediction(reply: Reply) -> float:
    assert reply.status == 200, reply.body
    return float(reply.json()["prediction"])
