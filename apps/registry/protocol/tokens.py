"""Page tokens: where the last page ended, signed, and good for the search that they came from."""

import hashlib
from collections.abc import Sequence

import msgspec
from django.core import signing

from apps.registry.protocol.refusals import invalid

SALT = "mlflow-page"
Position = Sequence[str | int]


def search_digest(*parts: object) -> str:
    """What tells one search from another."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def token_of(position: Position, *, search: str) -> str:
    """The token of the page after `position`."""
    return signing.dumps([search, list(position)], salt=SALT)


def position_in(token: str, *, search: str, kinds: Sequence[type]) -> Position:
    """The position in a token; `kinds` are those of its values.

    Raises a Refusal when this is no token of ours, or one of another search.
    """
    try:
        found, values = signing.loads(token, salt=SALT)
        position: Position = tuple(
            msgspec.convert(value, kind) for value, kind in zip(values, kinds, strict=True)
        )
    except (signing.BadSignature, ValueError, TypeError, msgspec.ValidationError) as error:
        raise invalid(f"Invalid page token, could not decode: {token[:100]!r}") from error
    if found != search:
        raise invalid(
            "Invalid page token: it belongs to a search with another filter or another order"
        )
    return position
