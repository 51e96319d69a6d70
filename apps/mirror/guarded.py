"""The way to an MLflow whose address somebody typed in: every connection is judged first.

The name is resolved by `apps.notices.outbound`, which refuses what is not of the public internet
or on the operator's list; the connection goes to the very address that was judged. Redirects are
not followed. The MLflow of the settings is the operator's own and needs no judge.
"""

import ssl
from collections.abc import Iterable

import httpx
from django.conf import settings

from apps.notices import outbound


class Guarded(httpx.BaseTransport):
    """HTTP to judged addresses only; TLS is verified against the name that was asked for."""

    def __init__(self) -> None:
        self._wire = httpx.HTTPTransport(verify=_trusted(), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first judged address that can be connected to. Raises Refused."""
        origin = request.url.copy_with(raw_path=b"/")
        try:
            addresses = outbound.addresses_of(str(origin))
        except outbound.Unreachable as error:
            raise httpx.ConnectError(error.detail, request=request) from error
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        return self._send(request, map(str, addresses))

    def close(self) -> None:
        """End every connection."""
        self._wire.close()

    def _send(self, request: httpx.Request, addresses: Iterable[str]) -> httpx.Response:
        last: httpx.TransportError = httpx.ConnectError("no address", request=request)
        for address in addresses:
            # The Host header is already written, of the name.
            request.url = request.url.copy_with(host=address)
            try:
                return self._wire.handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
        raise last


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.CONFIG.outbound_ca_file is not None:
        context.load_verify_locations(settings.CONFIG.outbound_ca_file)
    return context
