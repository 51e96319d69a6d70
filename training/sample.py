"""For training scripts: the sample of the training data that a version is registered with.

mlflow.onnx.log_model(model, extra_files=[write_sample(folder, frame, labels=y)], …)

Explanations compare with it, conversions are proved on it, and drift is told against it.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.declaration import SAMPLE_FILE


def write_sample(folder: str | Path, rows: Any, *, labels: Sequence[Any] | None = None) -> str:
    """Write `rows`, a pandas frame or a list of mappings, into `folder`; the file's path.

    A few thousand rows drawn at random are right; `labels` are the truth about each of them.
    Raises ValueError when there are more or fewer labels than rows.
    """
    records = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    if labels is not None and len(labels) != len(records):
        raise ValueError(f"{len(labels)} labels of {len(records)} rows")
    columns = list(records[0]) if records else []
    document = {
        "columns": [str(name) for name in columns],
        "data": [[_plain(row.get(name)) for name in columns] for row in records],
    }
    if labels is not None:
        document["labels"] = [_plain(label) for label in labels]
    path = Path(folder) / SAMPLE_FILE
    path.write_text(json.dumps(document))
    return str(path)


def _plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers as Python's, what is missing as null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
