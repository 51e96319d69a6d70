"""Secrets that webhooks are signed with, and the signature.

The format is that of the Standard Webhooks specification (standardwebhooks.com, version 1):
`webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>`, several of them
separated by blanks while a secret is being rotated. Secrets are kept sealed (Fernet) under a key
derived from DJANGO_SECRET_KEY: a copy of the database alone signs nothing.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PREFIX = "whsec_"
SECRET_BYTES = 32
PURPOSE = b"switchyard webhook secrets"


def new_secret() -> str:
    """A fresh secret as its owner is shown it: `whsec_` and base64 of 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str) -> bytes:
    """A secret as it is kept."""
    return _box(settings.SECRET_KEY).encrypt(secret.encode())


def unseal(sealed: bytes | memoryview) -> str:
    """The secret again. Raises cryptography.fernet.InvalidToken after a change of the key."""
    return _box(settings.SECRET_KEY).decrypt(bytes(sealed)).decode()


def headers(
    *, message_id: str, timestamp: int, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The three headers of a signed message; `timestamp` is in seconds since the epoch."""
    said = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_sign(one, said) for one in secrets),
    }


def _sign(secret: str, said: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


@lru_cache(maxsize=4)
def _box(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
