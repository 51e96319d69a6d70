"""The benchmark's model as every peer serves it: one row of features in, a probability out.

Runs in the peers' environments, which know nothing of Switchyard.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

NUMBERS = tuple(f"x{number}" for number in range(8))
Features = Mapping[str, Any]


def session() -> Any:
    """The model that MODEL_PATH names, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(
        os.environ["MODEL_PATH"], sess_options=options, providers=["CPUExecutionProvider"]
    )


def predict(model: Any, rows: Sequence[Features]) -> list[float]:
    """Probability of class 1 of each row."""
    numeric = np.array([[row[name] for name in NUMBERS] for row in rows], dtype=np.float32)
    code = np.array([[row["code"]] for row in rows], dtype=np.int64)
    (probabilities,) = model.run(None, {"numeric": numeric, "code": code})
    found: list[float] = probabilities[:, 1].tolist()
    return found
