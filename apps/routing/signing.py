"""The control plane's signature on what the data plane obeys."""

import base64
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from contracts import signing


@dataclass(frozen=True)
class Signer:
    """A private key and the name under which gateways and pullers trust it."""

    key_id: str
    private_key: Ed25519PrivateKey


@lru_cache(maxsize=1)
def signer() -> Signer:
    """The signer of this installation.

    Its name is the one under which ROUTING_PUBLIC_KEYS lists its public half, so that the two
    settings cannot disagree; ROUTING_KEY_ID names it where that list is not set.
    """
    seed = base64.b64decode(settings.CONFIG.routing_signing_key.get_secret_value())
    private_key = Ed25519PrivateKey.from_private_bytes(seed)
    own = private_key.public_key().public_bytes_raw()
    trusted = signing.parse_public_keys(settings.CONFIG.routing_public_keys)
    names = [name for name, key in trusted.items() if key.public_bytes_raw() == own]
    return Signer(names[0] if names else settings.CONFIG.routing_key_id, private_key)


def sign_document(value: object, *, purpose: str) -> bytes:
    """Bytes of the signed document of `value`, for "routing-index", "clients" or "manifest"."""
    own = signer()
    document = signing.sign(value, purpose=purpose, key_id=own.key_id, private_key=own.private_key)
    return signing.encode(document)
