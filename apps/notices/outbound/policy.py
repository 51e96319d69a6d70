"""Where calls may go. Pure: no sockets, no settings, no clock."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from apps.events.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SCHEMES = {"https": 443, "http": 80}
LONGEST_URL = 2_000
_ENTRY = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d+))?")
_PRINTABLE = re.compile(r"[!-~]+")
# What the registries call global and is not the public internet to us: an IPv6 address that
# carries an IPv4 one is another way to write a private address, and one cloud answers its
# instances' metadata at a public address.
NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata and DNS
        "192.0.0.0/24",  # for protocols; one cloud's metadata at .192
        "::/96",  # IPv4-compatible (deprecated)
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 of one's own network
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local (deprecated)
    )
)


class Refused(Invalid):
    """The address may not be called; asking again will not help."""

    code = "address-refused"
    title = "Address refused"


@dataclass(frozen=True)
class Target:
    """A URL taken apart: what to connect to and what to ask for."""

    tls: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Allowed:
    """One entry of the operator's list: a host name or a network, and a port (None is any)."""

    port: int | None
    host: str = ""
    network: Network | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host`, `host:port`, `10.0.0.0/8`, `10.0.0.5:8080`, `::1` or `[::1]:8080`.

        Raises ValueError for what is none of these.
        """
        entry = _ENTRY.fullmatch(text)
        if entry is None:
            return cls(None, network=ipaddress.ip_network(text, strict=False))
        name = entry["bracketed"] or entry["name"]
        port = int(entry["port"]) if entry["port"] else None
        try:
            return cls(port, network=ipaddress.ip_network(name, strict=False))
        except ValueError:
            return cls(port, host=name.lower().rstrip("."))

    def names(self, host: str, port: int) -> bool:
        """Whether the entry names this host."""
        return bool(self.host) and self.host == host and self.port in (None, port)

    def covers(self, address: Address, port: int) -> bool:
        """Whether the entry's network holds this address."""
        return (
            self.network is not None
            and self.port in (None, port)
            and address.version == self.network.version
            and address in self.network
        )


@dataclass(frozen=True)
class Policy:
    """What may be called: the public internet over TLS on `ports`, and what `allowed` names."""

    allowed: tuple[Allowed, ...] = ()
    ports: frozenset[int] = frozenset({443, 8443})

    @classmethod
    def parse(cls, allowed: str, ports: str) -> Self:
        """Read two comma-separated lists, as settings give them. Raises ValueError."""
        return cls(
            allowed=tuple(Allowed.parse(one) for one in _words(allowed)),
            ports=frozenset(int(one) for one in _words(ports)),
        )

    def judge(self, target: Target, address: Address) -> None:
        """Raise Refused unless this address may be called for this target."""
        if any(one.names(target.host, target.port) for one in self.allowed):
            return
        plain = unmapped(address)
        if any(one.covers(plain, target.port) for one in self.allowed):
            return
        if not is_public(address):
            raise Refused(f"{target.host} is {address}, which is not a public address", field="url")
        if not target.tls:
            raise Refused("takes https:// addresses only", field="url")
        if target.port not in self.ports:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise Refused(f"port {target.port} is not one of {ports}", field="url")


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet that nothing special hides behind."""
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return False
    if any(address in one for one in NEVER if one.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def unmapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, for the operator's list; else itself."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return inner or address


def parse_url(url: str) -> Target:
    """Take a URL apart. Raises Refused for anything but a plain http(s) address."""
    if len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url):
        raise Refused(
            f"takes printable ASCII without spaces, at most {LONGEST_URL:,} characters", field="url"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"is not an address: {error}", field="url") from error
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise Refused("takes https:// addresses only", field="url")
    if "@" in parts.netloc or "\\" in url:
        raise Refused("takes no user name, password or backslash in the address", field="url")
    return Target(
        tls=parts.scheme == "https",
        host=parts.hostname.rstrip("."),
        port=SCHEMES[parts.scheme] if port is None else port,
        path=_path(parts),
    )


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _words(text: str) -> list[str]:
    return [word for word in (one.strip() for one in text.split(",")) if word]
