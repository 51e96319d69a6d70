"""Reading what MLflow keeps beside a model: the MLmodel file and the input example.

Text only: nothing here unpickles or imports what a file names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from contracts.declaration import METADATA_KEY

MAX_EXAMPLE_ROWS = 32


class UnreadableModel(ValueError):
    """The MLmodel file is not one that can be taken; the message says why."""


@dataclass(frozen=True)
class MlModel:
    """The parts of an MLmodel file that matter.

    `framework` is the flavour it is taken by, `data` the file or folder of that flavour, and
    `settings` all texts that the flavour says about itself: `sklearn_version`, `model_class`, …
    `declared` is what was logged as `metadata={"switchyard": …}`.
    """

    framework: str
    data: str
    signature: dict[str, Any]
    example_path: str = ""
    created_at: datetime | None = None
    flavors: tuple[str, ...] = field(default=())
    extra_files: tuple[str, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


# Flavours that are taken, the best first, with the setting that names their data.
FLAVORS: Mapping[str, tuple[str, str]] = {
    "onnx": ("data", ""),
    "sklearn": ("pickled_model", ""),
    "xgboost": ("data", ""),
    "lightgbm": ("data", ""),
    "pytorch": ("model_data", "data"),
    "tensorflow": ("saved_model_dir", ""),
    "tensorrt": ("data", ""),
}


def parse_mlmodel(text: str) -> MlModel:
    """Read an MLmodel file. Raises UnreadableModel when it holds no flavour that can be taken."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UnreadableModel("the MLmodel file is no YAML") from error
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise UnreadableModel("the MLmodel file has no flavours")
    flavors = {str(name): value for name, value in document["flavors"].items()}
    framework, flavor = _flavor(flavors)
    example = document.get("saved_input_example_info") or {}
    return MlModel(
        framework=framework,
        data=_data(framework, flavor),
        signature=_signature(document.get("signature")),
        example_path=str(example.get("artifact_path") or "") if isinstance(example, dict) else "",
        created_at=_time(document.get("utc_time_created")),
        flavors=tuple(sorted(flavors)),
        extra_files=_extra_files(flavor.get("extra_files")),
        declared=_declared(document.get("metadata")),
        settings={str(name): str(value) for name, value in flavor.items() if _is_word(value)},
    )


def _flavor(flavors: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    for name in FLAVORS:
        if isinstance(flavors.get(name), dict):
            return name, flavors[name]
    said = ", ".join(sorted(flavors)) or "none"
    raise UnreadableModel(f"only {', '.join(FLAVORS)} models can be taken; this one is {said}")


def _data(framework: str, flavor: Mapping[str, Any]) -> str:
    setting, default = FLAVORS[framework]
    data = flavor.get(setting) or default
    if framework == "tensorflow" and not data:
        data = "data"  # a Keras model of its own format
    if not _is_plain(data):
        raise UnreadableModel(f"the MLmodel file names no {setting} of flavour {framework}")
    return str(data)


def _is_word(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 200


def _declared(metadata: object) -> Mapping[str, Any]:
    found = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise UnreadableModel(f"the metadata {METADATA_KEY!r} is no JSON") from error
    return found if isinstance(found, dict) else {}


def _extra_files(value: object) -> tuple[str, ...]:
    """Paths of the files that were logged with the model, in a folder of their own."""
    entries = value if isinstance(value, list) else []
    return tuple(str(entry.get("path")) for entry in entries if isinstance(entry, dict))


def _is_plain(name: object) -> bool:
    """A file name beside the MLmodel file and nothing else."""
    return isinstance(name, str) and bool(name) and "/" not in name and not name.startswith(".")


def _signature(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {side: _entries(value.get(side)) for side in ("inputs", "outputs")}


def _entries(text: object) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text) if isinstance(text, str) else []
    except ValueError as error:
        raise UnreadableModel("the signature in the MLmodel file is no JSON") from error
    if not isinstance(entries, list):
        raise UnreadableModel("the signature in the MLmodel file is no list")
    return [entry for entry in entries if isinstance(entry, dict)]


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return parse_time(value) if isinstance(value, str) else None


def parse_time(text: str) -> datetime | None:
    """An ISO date and time, in UTC where it names no zone; None when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_example(
    text: str, columns: list[str], limit: int = MAX_EXAMPLE_ROWS
) -> list[dict[str, Any]]:
    """Rows of a logged input example, at most `limit`, by column name.

    Takes what MLflow writes: {"columns", "data"}, a list of objects, an object of columns, and
    plain rows, which get `columns` in order. Anything else gives no rows.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return _rows(document, columns)[:limit]


def parse_labels(text: str) -> list[Any]:
    """The labels beside a sample's rows: {"labels": […]}; none in any other form."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return []
    labels = document.get("labels") if isinstance(document, dict) else None
    return labels if isinstance(labels, list) else []


def _rows(document: Any, columns: list[str]) -> list[dict[str, Any]]:
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        return _named(document["data"], [str(name) for name in document.get("columns") or columns])
    if isinstance(document, dict) and document:
        return _rows_of_columns(document)
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return [row for row in document if isinstance(row, dict)]
    return _named(document, columns) if isinstance(document, list) else []


def _named(rows: list[Any], columns: list[str]) -> list[dict[str, Any]]:
    return [
        dict(zip(columns, row, strict=True))
        for row in rows
        if isinstance(row, list) and len(row) == len(columns)
    ]


def _rows_of_columns(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"inputs": {column: [values]}} or {column: value}."""
    inner = document.get("inputs", document)
    if not isinstance(inner, Mapping):
        return []
    if all(isinstance(values, list) for values in inner.values()):
        return [
            dict(zip(inner, _scalars(cells), strict=True))
            for cells in zip(*inner.values(), strict=False)
        ]
    return [dict(inner)]


def _scalars(cells: tuple[Any, ...]) -> list[Any]:
    return [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in cells]
