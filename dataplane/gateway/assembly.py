"""Parts of a gateway as its settings and its table want them."""

from collections.abc import Callable, Iterable

from dataplane.gateway.limits import RateLimits
from dataplane.gateway.listener import HttpLimits
from dataplane.gateway.rates import SharedBuckets
from dataplane.gateway.siblings import Siblings
from dataplane.gateway.table import Variant
from dataplane.gateway.tls import Tls
from dataplane.settings import GatewaySettings


def siblings_of(settings: GatewaySettings, figures: Callable[[], bytes]) -> Siblings | None:
    """The other processes on this port, if there are any."""
    if not settings.gateway_process:
        return None
    names = {each + 1: settings.name_of(each + 1) for each in range(settings.gateway_processes)}
    return Siblings(names=names, own=settings.gateway_process, figures=figures)


def rates_of(settings: GatewaySettings) -> RateLimits:
    """What clients have used of their rates: together with the other processes on this port."""
    if not settings.gateway_process:
        return RateLimits()
    return RateLimits(SharedBuckets(settings.rates))


def limits_of(settings: GatewaySettings) -> HttpLimits:
    """What the HTTP server takes."""
    return HttpLimits(
        max_body=settings.gateway_max_body,
        max_head=settings.gateway_max_head,
        max_headers=settings.gateway_max_headers,
        max_pipelined=settings.gateway_max_pipelined,
        max_held=settings.gateway_max_held,
        max_connections=settings.gateway_max_connections,
        max_connections_per_address=settings.gateway_max_connections_per_address,
        request_timeout_s=settings.gateway_request_timeout_s,
        idle_timeout_s=settings.gateway_idle_timeout_s,
    )


def tls_of(settings: GatewaySettings) -> Tls:
    """How Tritons are called over TLS. Raises TlsError for what can never work."""
    tls = Tls(
        ca=settings.gateway_triton_ca,
        certificate=settings.gateway_triton_cert,
        key=settings.gateway_triton_key,
    )
    tls.check()
    return tls


def replicas_of(variants: Iterable[Variant]) -> set[tuple[str, str]]:
    """Entry and address of all models and explainers that these variants use."""
    return {
        (entry, address)
        for variant in variants
        for entry in (variant.spec.entry, variant.spec.explainer)
        for address in variant.spec.addresses
    }
