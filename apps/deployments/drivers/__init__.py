"""How versions get onto targets: one small interface, one module per kind of target."""

from collections.abc import Callable, Mapping

from apps.deployments.drivers.base import Driver, Placement
from apps.deployments.drivers.triton import TritonDriver
from apps.deployments.models import Target, TargetKind

__all__ = ["Driver", "Placement", "driver_of"]

_DRIVERS: Mapping[str, Callable[[Target], Driver]] = {TargetKind.TRITON.value: TritonDriver}


def driver_of(target: Target) -> Driver:
    """The driver of a target."""
    return _DRIVERS[target.kind](target)
