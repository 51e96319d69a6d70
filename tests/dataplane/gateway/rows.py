"""Rows on their way through the gateway, without a gateway."""

from typing import Any

from benchmarks import rig
from dataplane.gateway.row import Row
from dataplane.gateway.table import compile_endpoint


def row(
    values: tuple[Any, ...] = (1.0,), key: bytes = b"k", user: str = "u1", **changes: Any
) -> Row:
    """A validated row for the rig's endpoint with `changes`, started at 0."""
    variants = changes.pop("variants", (rig.variant(1, "127.0.0.1:9"),))
    endpoint = compile_endpoint(rig.endpoint(variants, **changes), "digest")
    made = Row(
        endpoint=endpoint,
        variant=endpoint.variants[0],
        unit=b"",
        bucket=0,
        client="app",
        flags=0,
        generation=1,
        prediction_id="id",
        started=0.0,
        user=user,
    )
    made.values, made.cache_key = values, key
    return made
