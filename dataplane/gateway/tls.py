"""How this gateway knows Triton, and Triton this gateway, over TLS."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from contracts.addresses import Address, AddressError


class TlsError(ValueError):
    """Settings of TLS that say only half of what is needed, or files that hold no such thing."""


@dataclass(frozen=True)
class Tls:
    """`ca` has the certificates that sign those of Tritons, None for those that the system trusts.

    `certificate` and `key` are this gateway's own, for Tritons that ask for one.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Read what the settings name. Raises TlsError."""
        self._context()

    def require(self, address: Address) -> None:
        """With a CA named, no row crosses a network unencrypted. Raises AddressError."""
        if self.ca is not None and not address.is_secure and not address.is_loopback:
            raise AddressError(
                f"GATEWAY_TRITON_CA is set, but {address.authority} would be called without TLS: "
                "make its address grpcs:// or https://"
            )

    def context(self, protocol: str, address: Address) -> ssl.SSLContext | None:
        """What a connection of this ALPN `protocol` needs; None for one without TLS.

        Raises TlsError, and AddressError as `require`.
        """
        self.require(address)
        if not address.is_secure:
            return None
        context = self._context()
        context.set_alpn_protocols([protocol])
        return context

    def _context(self) -> ssl.SSLContext:
        if (self.certificate is None) != (self.key is None):
            raise TlsError("GATEWAY_TRITON_CERT and GATEWAY_TRITON_KEY are set together or not")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError among them
            raise TlsError(f"GATEWAY_TRITON_CA {self.ca}: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except OSError as error:
                raise TlsError(f"GATEWAY_TRITON_CERT {self.certificate}: {error}") from error
        return context


PLAIN = Tls()
