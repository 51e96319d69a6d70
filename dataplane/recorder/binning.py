"""Counts by bin, for many values at once."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.sketches import FLOOR, FLOOR_BIN, GAMMA

_INVERSE_LOG = 1 / math.log(GAMMA)


def latency_bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """serving.sketches.bin_of, for many values at once."""
    bins = np.ceil(np.log(np.maximum(values, FLOOR)) * _INVERSE_LOG).astype(np.int64)
    return np.where(values <= FLOOR, FLOOR_BIN, bins)


def tally(values: npt.NDArray[Any]) -> dict[int, int]:
    """How often each value occurs."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
