"""Step 1 of the request path: who asks, and may they ask this endpoint."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.routing import Client, ClientsDocument
from dataplane.gateway.problems import Refusal

_BEARER = b"bearer "


@dataclass(frozen=True)
class Key:
    """One API key of a client; `expires_at` in epoch seconds, 0 = never."""

    client: Client
    endpoints: frozenset[str]
    expires_at: float


@dataclass(frozen=True)
class Clients:
    """All keys by their SHA-256: finding one reveals nothing about others by its timing.

    `loaded` is False until the first document arrives: nobody is known, and nobody is refused.
    """

    revision: int = 0
    loaded: bool = False
    keys: Mapping[str, Key] = field(default_factory=dict)


def compile_clients(document: ClientsDocument) -> Clients:
    """The usable form of a clients document."""
    keys = {
        digest: Key(client, frozenset(client.endpoints), expires_at)
        for client in document.clients
        for digest, expires_at in client.key_digests.items()
    }
    return Clients(document.revision, True, keys)


def authenticate(clients: Clients, authorization: bytes) -> Key:
    """The key behind an Authorization header. Raises Refusal 401, or 503 before any is known."""
    if authorization[:7].lower() != _BEARER:
        raise Refusal(401, "unauthenticated", "a bearer token is required")
    if not clients.loaded:
        raise Refusal(503, "not_ready", "no clients are loaded yet", retry_after=1)
    key = clients.keys.get(hashlib.sha256(authorization[7:].strip()).hexdigest())
    if key is None:
        raise Refusal(401, "unauthenticated", "the token is not known")
    if key.expires_at and key.expires_at < time.time():
        raise Refusal(401, "unauthenticated", "the token has expired")
    return key


def require_endpoint(key: Key, endpoint: str) -> None:
    """Refusal 403 unless the key's client may ask this endpoint."""
    if key.endpoints and endpoint not in key.endpoints:
        raise Refusal(403, "forbidden", "this client may not ask this endpoint", endpoint=endpoint)
