"""Parts of a gateway as its settings and its table want them."""

from collections.abc import Callable, Iterable

from dataplane.gateway.listener import HttpLimits
from dataplane.gateway.siblings import Siblings
from dataplane.gateway.table import Variant
from dataplane.settings import GatewaySettings


def siblings_of(settings: GatewaySettings, figures: Callable[[], bytes]) -> Siblings | None:
    """The other processes on this port, if there are any."""
    if not settings.gateway_process:
        return None
    names = {each + 1: settings.name_of(each + 1) for each in range(settings.gateway_processes)}
    return Siblings(names=names, own=settings.gateway_process, figures=figures)


def limits_of(settings: GatewaySettings) -> HttpLimits:
    """What the HTTP server takes."""
    return HttpLimits(
        max_body=settings.gateway_max_body,
        max_head=settings.gateway_max_head,
        max_headers=settings.gateway_max_headers,
        max_pipelined=settings.gateway_max_pipelined,
        max_connections=settings.gateway_max_connections,
        request_timeout_s=settings.gateway_request_timeout_s,
        idle_timeout_s=settings.gateway_idle_timeout_s,
    )


def replicas_of(variants: Iterable[Variant]) -> set[tuple[str, str]]:
    """Entry and address of all models and explainers that these variants use."""
    return {
        (entry, address)
        for variant in variants
        for entry in (variant.spec.entry, variant.spec.explainer)
        for address in variant.spec.addresses
    }
