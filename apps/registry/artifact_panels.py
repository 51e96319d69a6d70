"""What a version's page shows of its artifact: conversion, variant, files, reference profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.registry.models import ModelVersion, ReferenceProfile
from apps.registry.panels import Panel, register
from serving.reference import Counted

SHOWN = 40
WIDTH, HEIGHT = 120.0, 24.0


@dataclass(frozen=True)
class Bar:
    """One bar of a small picture, in units of its view box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Row:
    """A feature in words and as a picture."""

    name: str
    words: str
    missing: float
    bars: Sequence[Bar]


def register_own() -> None:
    """Called once, when the app is ready."""
    register(
        Panel(
            "conversion", "Conversion", "registry/conversion_panel.html", conversion, tab="evidence"
        )
    )
    register(
        Panel(
            "reference",
            "Training sample",
            "registry/reference_panel.html",
            reference,
            tab="schema",
            signed=False,
        )
    )


def conversion(version: ModelVersion) -> dict[str, Any] | None:
    """How the ONNX came about; which files are kept where there is none."""
    if not version.conversion and not version.files:
        return None
    return {"version": version, "found": version.conversion}


def reference(version: ModelVersion) -> dict[str, Any] | None:
    """The sample's features and predictions; one query."""
    row = ReferenceProfile.objects.filter(version=version).first()
    if row is None:
        return None
    profile = row.reference()
    counted = [*profile.predictions, *profile.features]
    return {
        "row": row,
        "rows": [_row(each, profile.rows) for each in counted[:SHOWN]],
        "more": max(len(counted) - SHOWN, 0),
        "empty": profile.empty,
        "label_rate": profile.label_rate,
    }


def _row(counted: Counted, rows: int) -> Row:
    missing = counted.missing / rows if rows else 0.0
    return Row(counted.name, _words(counted), missing, _bars(counted.counts))


def _words(counted: Counted) -> str:
    if counted.kind == "number":
        return f"{counted.low:.4g} to {counted.high:.4g}, mean {counted.centre:.4g}"
    if counted.kind == "flag":
        return "true or false"
    known = len(counted.frequent) + len(counted.rest)
    return f"{known} categories: {', '.join(counted.frequent[:4])}" + ("…" if known > 4 else "")


def _bars(counts: Sequence[int]) -> list[Bar]:
    """The cells of the sample side by side, the fullest as high as the picture."""
    most, step = max(counts, default=0), WIDTH / max(len(counts), 1)
    return [
        Bar(round(at * step, 2), round(HEIGHT - high, 2), round(step * 0.86, 2), round(high, 2))
        for at, high in enumerate(HEIGHT * count / most if most else 0.0 for count in counts)
    ]
