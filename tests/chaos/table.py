"""The control plane in this process: an endpoint over the rig's two versions, ramped for real."""

from typing import Any

import msgspec

from apps.accounts.access import Role
from apps.registry.models import ModelVersion
from apps.routing import services
from apps.routing.models import Endpoint, Generation
from benchmarks import rig
from tests.accounts.factories import service_account, token
from tests.chaos.world import PATIENT
from tests.registry.factories import make_model, make_version
from tests.routing.factories import canary, operator, restore, route, stable

SCHEMA: dict[str, Any] = msgspec.to_builtins(rig.SCHEMA)
VERSION: dict[str, Any] = {
    "stage": "production",
    "input_schema": {"features": SCHEMA["features"], "tensors": SCHEMA["tensors"]},
    "output_schema": SCHEMA["output"],
    "label_map": rig.LABELS,
}


class Table:
    """Changes go through the services, which publish by themselves after the commit."""

    def __init__(self, triton: str) -> None:
        self.one, self.two = (make_rig_version(number, triton) for number in (1, 2))
        self.endpoint: Endpoint = services.create_endpoint(
            actor=operator(),
            name="rig",
            model=make_model("rig"),
            settings={"limits": msgspec.to_builtins(PATIENT)},
        )
        self.key = token(service_account(Role.CLIENT))[1]
        services.publish_clients()

    def settle_on_one(self) -> Generation:
        """Everything to version 1."""
        return route(self.endpoint, stable(self.one))

    def ramp(self, weight: int) -> Generation:
        """So much of 10,000 to version 2."""
        weights = [stable(self.one, 10_000 - weight), canary(self.two, weight)]
        return route(self.endpoint, *weights, new_candidate=True)

    def roll_back(self, to_phase: int) -> Generation:
        """As it was in that phase."""
        return restore(self.endpoint, to_phase)


def make_rig_version(number: int, triton: str, **fields: Any) -> ModelVersion:
    """A version of the rig's model that answers at `triton`; in production unless told."""
    version = make_version(model=make_model("rig"), number=number, **{**VERSION, **fields})
    services.register_backend(
        actor=operator(), version=version, entry=f"rig-v{number}", addresses=[triton]
    )
    return version
