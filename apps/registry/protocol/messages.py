"""What the requests of MLflow's registry hold, and how they are read.

The names are those of MLflow's `model_registry.proto`. Fields without a default are required.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from apps.registry.protocol.refusals import Refusal, invalid

MODELS_DEFAULT, MODELS_MOST = 100, 1000
VERSIONS_DEFAULT, VERSIONS_MOST = 10_000, 200_000
SEE = "See the API docs for more information about request parameters."


class Tag(msgspec.Struct, frozen=True):
    """A tag."""

    key: str
    value: str = ""


class ModelName(msgspec.Struct, frozen=True):
    """Names a model."""

    name: str


class NewModel(ModelName, frozen=True):
    """Of registered-models/create."""

    tags: list[Tag] = []
    description: str = ""


class ModelChange(ModelName, frozen=True):
    """Of registered-models/update; what is left out stays."""

    description: str | None = None


class NewName(ModelName, frozen=True):
    """Of registered-models/rename."""

    new_name: str


class ModelSearch(msgspec.Struct, frozen=True):
    """Of registered-models/search."""

    filter: str = ""
    max_results: Annotated[int, Meta(ge=1, le=MODELS_MOST)] = MODELS_DEFAULT
    order_by: list[str] = []
    page_token: str = ""


class Latest(ModelName, frozen=True):
    """Of registered-models/get-latest-versions."""

    stages: list[str] = []


class ModelTag(ModelName, frozen=True):
    """Of registered-models/set-tag."""

    key: str
    value: str = ""


class ModelTagKey(ModelName, frozen=True):
    """Of registered-models/delete-tag."""

    key: str


class AliasName(ModelName, frozen=True):
    """Names an alias of a model."""

    alias: str


class NewAlias(AliasName, frozen=True):
    """Sets an alias."""

    version: str


class VersionName(ModelName, frozen=True):
    """Names a version by its number."""

    version: str


class NewVersion(ModelName, frozen=True):
    """Of model-versions/create."""

    source: str
    run_id: str = ""
    tags: list[Tag] = []
    run_link: str = ""
    description: str = ""
    model_id: str = ""


class VersionChange(VersionName, frozen=True):
    """Of model-versions/update; what is left out stays."""

    description: str | None = None


class VersionSearch(msgspec.Struct, frozen=True):
    """Of model-versions/search."""

    filter: str = ""
    max_results: Annotated[int, Meta(ge=1, le=VERSIONS_MOST)] = VERSIONS_DEFAULT
    order_by: list[str] = []
    page_token: str = ""


class VersionTag(VersionName, frozen=True):
    """Of model-versions/set-tag."""

    key: str
    value: str = ""


class VersionTagKey(VersionName, frozen=True):
    """Of model-versions/delete-tag."""

    key: str


class StageChange(VersionName, frozen=True):
    """Of model-versions/transition-stage."""

    stage: str
    archive_existing_versions: bool = False


Message = TypeVar("Message", bound=msgspec.Struct)
_AT = re.compile(r"(?P<what>.*) - at `\$\.(?P<path>[^`]*)`", re.DOTALL)


def of_query(query: Mapping[str, Sequence[str]], kind: type[Message]) -> Message:
    """Read what a GET asks for; a field that holds a list may come many times."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        values = query.get(field.name)
        if values:
            repeated = field.default_factory is not msgspec.NODEFAULT
            given[field.name] = list(values) if repeated else values[-1]
    return _read(given, kind, strict=False)


def of_body(body: object, kind: type[Message]) -> Message:
    """Read a JSON body; null is as good as nothing. Raises Refusal."""
    if not isinstance(body, dict):
        raise invalid(f"The body has to be a JSON object, not {type(body).__name__}. {SEE}")
    given = {name: value for name, value in body.items() if value is not None}
    return _read(given, kind, strict=True)


def number_of(version: str) -> int:
    """The number of a version. Raises Refusal."""
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise invalid(f"Parameter 'version' must be an integer, got '{version}'.")
    return int(version)


def _read(given: Mapping[str, Any], kind: type[Message], *, strict: bool) -> Message:
    for field in msgspec.structs.fields(kind):
        if field.required and given.get(field.name) in (None, ""):
            raise invalid(f"Missing value for required parameter '{field.name}'. {SEE}")
    if any("\x00" in text for text in _texts(dict(given))):
        raise invalid(f"A NUL character is no part of any value. {SEE}")
    try:
        return msgspec.convert(dict(given), kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _refusal(error, given) from error


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def _refusal(error: msgspec.ValidationError, given: Mapping[str, Any]) -> Refusal:
    found = _AT.fullmatch(str(error))
    if found is None:
        return invalid(f"{error}. {SEE}")
    name = re.split(r"[.\[]", found["path"])[0]
    value = str(given.get(name))[:200]
    return invalid(
        f"Invalid value {value!r} for parameter '{found['path']}' supplied: {found['what']}. {SEE}"
    )
