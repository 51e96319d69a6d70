"""How versions get onto targets: one small interface, one module per kind of target."""

from collections.abc import Callable, Mapping

from django.utils.module_loading import import_string

from apps.deployments.drivers.base import Driver, Placement
from apps.deployments.models import Target, TargetKind

__all__ = ["Driver", "Placement", "driver_of"]

# By name: their clients are slow to import, and most processes never deploy anything.
_DRIVERS: Mapping[str, str] = {
    TargetKind.TRITON.value: "apps.deployments.drivers.triton.TritonDriver",
}


def driver_of(target: Target) -> Driver:
    """The driver of a target."""
    driver: Callable[[Target], Driver] = import_string(_DRIVERS[target.kind])
    return driver(target)
