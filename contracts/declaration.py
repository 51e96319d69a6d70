"""What a training script says about a version beside the model file: its steps, and their proof."""

import msgspec

from contracts.preprocessing import Step

METADATA_KEY = "switchyard"
MAX_GOLDEN_ROWS = 1_000
# {"columns": […], "data": [[…]], "labels": […]}: rows that the model was trained on.
SAMPLE_FILE = "sample.json"
Cell = float | int | bool | str | None


class Golden(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Raw rows, and what the pipeline made of them when the model was trained.

    `columns` are its numbers and texts in the order of the declaration's columns, null for a
    missing number; `outputs` what the model answered, `[rows, width]`. Either may be left out.
    Two numbers a and b agree when |a - b| <= tolerance * (1 + |b|).
    """

    rows: tuple[dict[str, Cell], ...]
    columns: tuple[tuple[float | str | None, ...], ...] = ()
    outputs: tuple[tuple[float, ...], ...] = ()
    tolerance: float = 1e-6
    output_tolerance: float = 1e-4


class Declaration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Steps of a version, and the order of the columns that its model takes after them.

    `columns` may be left out where every input of the model bears the name of one column.
    """

    preprocessing: tuple[Step, ...] = ()
    columns: tuple[str, ...] = ()
    golden: Golden | None = None
