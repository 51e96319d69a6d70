"""Step 3 of the request path: which variant answers this unit."""

from typing import NamedTuple

from dataplane.gateway.problems import Refusal, at
from dataplane.gateway.table import UNSERVED_ROLES, Endpoint, Variant
from serving.allocation import bucket_of


class Assignment(NamedTuple):
    """`bucket` is -1 for a pinned version, which no bucket decided."""

    variant: Variant
    bucket: int
    pinned: bool


def assign(endpoint: Endpoint, unit: str, version: str | int | None) -> Assignment:
    """The variant for `unit`, or the pinned `version`. Raises Refusal 404 or 409."""
    if version is not None:
        return Assignment(pinned(endpoint, str(version)), -1, True)
    bucket = bucket_of(endpoint.spec.salt, unit)
    return Assignment(endpoint.variants[endpoint.owners[bucket]], bucket, False)


def pinned(endpoint: Endpoint, version: str) -> Variant:
    """The variant of a version that a client may ask for. Raises Refusal 404 or 409."""
    found = [variant for variant in endpoint.variants if version in variant.names]
    if not found:
        raise Refusal(
            404,
            "unknown_version",
            "this model has no such version in service",
            errors=at("$.version", "is not in service here"),
            endpoint=endpoint.spec.name,
        )
    served = [variant for variant in found if variant.spec.role not in UNSERVED_ROLES]
    if not served:
        raise Refusal(
            409,
            "version_not_routed",
            "this version takes no requests",
            errors=at("$.version", "takes no requests here"),
            endpoint=endpoint.spec.name,
        )
    return served[0]
