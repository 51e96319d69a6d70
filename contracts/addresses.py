"""Where a model server answers: "host:port", or a URL whose scheme says how it is called."""

import re
from typing import NamedTuple

# Scheme: whether calls are gRPC, and whether the connection is TLS.
SCHEMES = {
    "grpc": (True, False),
    "grpcs": (True, True),
    "http": (False, False),
    "https": (False, True),
}
_PATTERN = re.compile(
    r"(?:([a-z]+)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII
)
LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


class AddressError(ValueError):
    """No address of a model server."""


class Address(NamedTuple):
    """`host` is without brackets. What has no scheme is called by gRPC, without TLS."""

    scheme: str
    host: str
    port: int

    @property
    def is_grpc(self) -> bool:
        """Whether it is called by gRPC rather than by HTTP/1.1."""
        return SCHEMES[self.scheme][0]

    @property
    def is_secure(self) -> bool:
        """Whether the connection is TLS."""
        return SCHEMES[self.scheme][1]

    @property
    def is_loopback(self) -> bool:
        """Whether it never leaves the machine."""
        return LOOPBACK.fullmatch(self.host) is not None

    @property
    def authority(self) -> str:
        """ "host:port", as a Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Raises AddressError."""
    found = _PATTERN.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 65_536:
        raise AddressError(f"{text!r} is not host:port, nor a URL of one without a path")
    scheme = found[1] or "grpc"
    if scheme not in SCHEMES:
        raise AddressError(f"{text!r} has none of the schemes {', '.join(SCHEMES)}")
    return Address(scheme, found[2].strip("[]"), int(found[3]))
