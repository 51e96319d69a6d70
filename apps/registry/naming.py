"""Names of models, and what is called after them where not every name will do."""

import hashlib
import re

from apps.registry.errors import Invalid

NAME_LENGTH = 100
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._ -]{0,98}[A-Za-z0-9_-])?$"
ALIAS_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"
# Two hyphens in a row are in no plain name: they set apart the digest of one that is not plain.
PLAIN = re.compile(r"[a-z0-9](?:-?[a-z0-9])*-?")
PLAIN_LENGTH = 80
SLUG_LENGTH = 60
DIGEST_LENGTH = 12
RESERVED_ALIAS = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
NAME_RULE = (
    f"a model's name has 1 to {NAME_LENGTH} letters, digits, blanks, dots, underscores and "
    f"hyphens, begins with a letter or digit and ends in neither a blank nor a dot: {NAME_PATTERN}"
)


def valid_name(name: str, *, field: str = "name") -> str:
    """The name of a model. Raises Invalid with the rule."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise Invalid(f"{name[:120]!r}: {NAME_RULE}", field=field)
    return name


def valid_alias(name: str) -> str:
    """The name of an alias. Raises Invalid; "latest" and "v3" mean something already."""
    if not re.fullmatch(ALIAS_PATTERN, name):
        raise Invalid(
            f"{name[:120]!r}: an alias has 1 to 100 letters, digits, underscores and hyphens",
            field="alias",
        )
    if RESERVED_ALIAS.fullmatch(name):
        raise Invalid(f"alias {name!r} is reserved: it reads as a version", field="alias")
    return name


def entry_name(model: str, number: int) -> str:
    """What a model server calls a version: a-z, 0-9 and hyphens, different for every version."""
    if len(model) <= PLAIN_LENGTH and PLAIN.fullmatch(model):
        return f"{model}-v{number}"
    digest = hashlib.sha256(model.encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{slug(model)[:SLUG_LENGTH].rstrip('-')}--{digest}-v{number}"


def endpoint_name(model: str) -> str:
    """What the endpoint of a model is called unless somebody says otherwise."""
    plain = len(model) <= PLAIN_LENGTH and PLAIN.fullmatch(model)
    return model if plain else slug(model)[:PLAIN_LENGTH].rstrip("-")


def slug(name: str) -> str:
    """Lower-case letters and digits with single hyphens between."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
