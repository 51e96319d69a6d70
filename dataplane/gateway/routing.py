"""Where the routing table comes from: Redis when it is there, this disk when it is not.

Everything here blocks and runs on a thread of its own. A refresh verifies the signed documents,
fetches and compiles only what is missing, writes it down, and returns what is new.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import redis
import structlog

from contracts import signing
from contracts.addresses import Address, parse_address
from contracts.routing import (
    CLIENTS_KEY,
    CLIENTS_PURPOSE,
    INDEX_KEY,
    INDEX_PURPOSE,
    SPEC_KEY,
    ClientsDocument,
    EndpointSpec,
    RoutingIndex,
    decode_spec,
)
from contracts.signing import PublicKeys
from dataplane.gateway.clients import Clients, compile_clients
from dataplane.gateway.table import Endpoint, Source, Table, compile_endpoint

log = structlog.get_logger()
T = TypeVar("T")

INDEX_FILE, CLIENTS_FILE, SPECS = "index.bin", "clients.bin", "specs"
COMPILE_AHEAD = 32


class Refused(ValueError):
    """A document that this gateway will not act on, with the reason in words."""


@dataclass(frozen=True)
class Update:
    """What a refresh found; None = unchanged."""

    table: Table | None = None
    clients: Clients | None = None


class Disk:
    """The last accepted documents, each written by rename; specs are named by their digests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._specs = directory / SPECS
        self._specs.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read(self, name: str) -> bytes | None:
        """A document, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            return (self._directory / name).read_bytes()
        return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a document; survives a crash at any moment. Raises OSError."""
        _write_atomically(self._directory / name, data)

    def specs(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those of the specs that are here."""
        found = {digest: self.read(f"{SPECS}/{digest}") for digest in digests}
        return {digest: body for digest, body in found.items() if body is not None}

    def keep_specs(self, bodies: Mapping[str, bytes]) -> None:
        """Add specs. They are on disk before the index that names them.

        A first load of very many is left to the system to write out: their digests would betray
        what a power cut tore, and Redis still has them.
        """
        sync = len(bodies) <= COMPILE_AHEAD
        for digest, body in bodies.items():
            _write_atomically(self._specs / digest, body, sync=sync)

    def prune(self, digests: set[str]) -> None:
        """Delete specs that the index no longer names."""
        for path in self._specs.iterdir():
            if path.name not in digests:
                path.unlink(missing_ok=True)


def _write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    temporary.replace(path)


Fetch = Callable[[list[str]], Mapping[str, bytes]]


def _any(_: Address) -> None:
    """Any address will do."""


class Routing:
    """Accepts routing tables and clients documents; `(epoch, generation)` never goes back.

    `refused` says in words why the newest index was not taken over, "" when it was. `require` is
    asked about the address of every Triton; it raises AddressError.
    """

    def __init__(
        self, *, disk: Disk, keys: PublicKeys, require: Callable[[Address], None] = _any
    ) -> None:
        self._disk = disk
        self._require = require
        self._keys = keys
        self._table = Table()
        self._clients = Clients()
        self._seen: dict[str, bytes | None] = {}
        self.refused = ""

    def boot(self) -> Update:
        """What lies on disk: how a gateway starts with Redis and the control plane away."""
        return Update(
            table=self._accept_index(self._disk.read(INDEX_FILE), self._disk.specs, "disk"),
            clients=self._accept_clients(self._disk.read(CLIENTS_FILE), keep=False),
        )

    def refresh(self, client: "redis.Redis") -> Update:
        """What is new in Redis. Raises redis.RedisError when it is away."""

        def fetch(digests: list[str]) -> dict[str, bytes]:
            bodies = _mget(client, [SPEC_KEY + digest for digest in digests])
            return {d: b for d, b in zip(digests, bodies, strict=True) if b is not None}

        index, clients = _mget(client, [INDEX_KEY, CLIENTS_KEY])
        return Update(
            table=self._accept_index(index, fetch, "redis"),
            clients=self._accept_clients(clients, keep=True),
        )

    def _accept_index(self, data: bytes | None, fetch: Fetch, source: Source) -> Table | None:
        if not self._is_news(INDEX_PURPOSE, data):
            return None
        assert data is not None  # noqa: S101 - said by _is_news
        try:
            table = self._read_index(data, fetch, source)
        except Refused as reason:
            self._refuse(str(reason))
            return None
        if table is not None:
            self._table = table
        self._seen[INDEX_PURPOSE] = data
        return table

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            log.warning("routing.refused", reason=reason)
        self.refused = reason

    def _read_index(self, data: bytes, fetch: Fetch, source: Source) -> Table | None:
        index = self._verified(data, RoutingIndex, INDEX_PURPOSE)
        order = (index.epoch, index.generation)
        if order == self._table.order and self._table.source != "none":
            self.refused = ""
            if self._table.source == source:
                return None
        elif order < self._table.order:
            raise Refused(f"index {order} is older than {self._table.order}")
        endpoints, bodies = self._endpoints(index, fetch)
        if source == "redis":
            self._keep(data, bodies, set(index.endpoints.values()))
        return Table(index.epoch, index.generation, source, time.time(), endpoints)

    def _endpoints(
        self, index: RoutingIndex, fetch: Fetch
    ) -> tuple[dict[str, Endpoint], Mapping[str, bytes]]:
        """Compile what changed; an endpoint that does not compile keeps its last good form."""
        known = {endpoint.digest: endpoint for endpoint in self._table.endpoints.values()}
        missing = sorted({d for d in index.endpoints.values() if d not in known})
        bodies = fetch(missing) if missing else {}
        specs = _read_specs(missing, bodies)
        endpoints: dict[str, Endpoint] = {}
        faults: list[str] = []
        for name, digest in index.endpoints.items():
            try:
                endpoints[name] = known.get(digest) or self._compiled(name, digest, specs)
            except ValueError as error:
                faults.append(f"endpoint {name!r}: {error}")
                if name in self._table.endpoints:
                    endpoints[name] = self._table.endpoints[name]
        self._refuse("; ".join(faults)[:1_000])
        return endpoints, bodies

    def _compiled(self, name: str, digest: str, specs: Mapping[str, EndpointSpec]) -> Endpoint:
        """Raises ValueError."""
        for variant in specs[digest].variants:
            for address in variant.addresses:
                self._require(parse_address(address))
        return _compile(name, digest, specs)

    def _keep(self, index: bytes, bodies: Mapping[str, bytes], digests: set[str]) -> None:
        """Write it down first, so that a restart cannot fall behind what was served."""
        try:
            self._disk.keep_specs(bodies)
            self._disk.write(INDEX_FILE, index)
            self._disk.prune(digests)
        except OSError as error:  # serving goes before surviving a restart
            log.error("routing.not_persisted", error=str(error))

    def _accept_clients(self, data: bytes | None, *, keep: bool) -> Clients | None:
        if not self._is_news(CLIENTS_PURPOSE, data):
            return None
        assert data is not None  # noqa: S101 - said by _is_news
        self._seen[CLIENTS_PURPOSE] = data
        try:
            document = self._verified(data, ClientsDocument, CLIENTS_PURPOSE)
            if document.revision < self._clients.revision:
                raise Refused(f"clients {document.revision} are older")
        except Refused as reason:
            log.warning("clients.refused", reason=str(reason))
            return None
        if keep:
            with contextlib.suppress(OSError):  # known again from Redis after a restart
                self._disk.write(CLIENTS_FILE, data)
        self._clients = compile_clients(document)
        return self._clients

    def _is_news(self, purpose: str, data: bytes | None) -> bool:
        return data is not None and data != self._seen.get(purpose)

    def _verified(self, data: bytes, type_: type[T], purpose: str) -> T:
        try:
            return signing.verify(signing.decode(data), type_, purpose=purpose, keys=self._keys)
        except (signing.SignatureError, msgspec.DecodeError) as error:
            raise Refused(f"{purpose}: {error}") from error


def _mget(client: "redis.Redis", keys: list[str]) -> list[bytes | None]:
    return cast(list[bytes | None], client.mget(keys))


def _read_specs(digests: Iterable[str], bodies: Mapping[str, bytes]) -> dict[str, EndpointSpec]:
    """The specs that an index names. Raises Refused when one is missing or is not what it says."""
    specs: dict[str, EndpointSpec] = {}
    for digest in digests:
        if digest not in bodies:
            raise Refused(f"spec {digest[:12]} is missing")
        try:
            specs[digest] = decode_spec(bodies[digest], digest=digest)
        except ValueError as error:
            raise Refused(f"spec {digest[:12]}: {error}") from error
    return specs


def _compile(name: str, digest: str, specs: Mapping[str, EndpointSpec]) -> Endpoint:
    """Compile a spec. When few changed, their validators too, which otherwise wait for use.

    Raises ValueError.
    """
    spec = specs[digest]
    if spec.name != name:
        raise ValueError(f"its spec is for {spec.name!r}")
    endpoint = compile_endpoint(spec, digest)
    if len(specs) <= COMPILE_AHEAD:
        for variant in endpoint.variants:
            _ = variant.schema, variant.labeller
    return endpoint
