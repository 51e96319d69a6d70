"""Signed documents: a payload, its Ed25519 signature, and the key that made it."""

import base64
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

T = TypeVar("T")
PublicKeys = dict[str, Ed25519PublicKey]


class SignatureError(ValueError):
    """The document was not made by a key that this process trusts."""


class SignedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`payload` is the exact signed bytes (JSON); `purpose` keeps documents from being swapped."""

    key_id: str
    purpose: str
    payload: bytes
    signature: bytes


def _message(purpose: str, payload: bytes) -> bytes:
    return purpose.encode() + b"\0" + payload


def sign(
    value: object, *, purpose: str, key_id: str, private_key: Ed25519PrivateKey
) -> SignedDocument:
    """Encode `value` as JSON and sign it for `purpose` ("routing-index", "clients", "manifest")."""
    payload = msgspec.json.encode(value, order="deterministic")
    return SignedDocument(
        key_id=key_id,
        purpose=purpose,
        payload=payload,
        signature=private_key.sign(_message(purpose, payload)),
    )


def verify(document: SignedDocument, type_: type[T], *, purpose: str, keys: PublicKeys) -> T:
    """Return the payload as `type_`.

    Raises SignatureError for an unknown key, another purpose or a wrong signature, and
    msgspec.ValidationError when the signed payload does not fit `type_`.
    """
    key = keys.get(document.key_id)
    if key is None:
        raise SignatureError(f"unknown signing key {document.key_id!r}")
    if document.purpose != purpose:
        raise SignatureError(f"document is for {document.purpose!r}, not {purpose!r}")
    try:
        key.verify(document.signature, _message(purpose, document.payload))
    except InvalidSignature as error:
        raise SignatureError(f"bad signature by key {document.key_id!r}") from error
    return msgspec.json.decode(document.payload, type=type_)


def encode(document: SignedDocument) -> bytes:
    """MessagePack bytes of a signed document, as it lies in Redis, in S3 and on disk."""
    return msgspec.msgpack.encode(document)


def decode(data: bytes) -> SignedDocument:
    """Read `encode`'s bytes. Raises msgspec.DecodeError or ValidationError on anything else."""
    return msgspec.msgpack.decode(data, type=SignedDocument)


def parse_public_keys(text: str) -> PublicKeys:
    """Read "key_id:base64[,key_id:base64…]", the form of ROUTING_PUBLIC_KEYS."""
    keys: PublicKeys = {}
    for item in filter(None, text.split(",")):
        key_id, _, encoded = item.partition(":")
        keys[key_id.strip()] = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded))
    return keys
