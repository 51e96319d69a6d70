"""What is said where a figure cannot be computed: never 0, never p = 1."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NotComputable:
    """Stands in for a figure; `reason` is a clause for people. In arrays NaN says the same."""

    reason: str
