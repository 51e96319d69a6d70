"""Categories as numbers: late rates per carrier and per route, learnt from the training flights.

A route is carrier, origin, destination and distance, so that a service flown over another course
is a route of its own. Rates follow Laplace's rule of succession, (late + 1) / (flights + 2): what
was never seen gets 0.5.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from examples.flights.data import LABEL, NUMERIC_FEATURES, TEXT_FEATURES

UNSEEN_RATE: Final = 0.5
#: A route code is ((carrier * 8 + origin) * 256 + dest) * 16384 + round(distance).
RADIX: Final = {"carrier": 8 * 256 * 16384, "origin": 256 * 16384, "dest": 16384}

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoding:
    """What turns a flight into a row of the trees' input.

    levels: the known values per text feature, their index is their code; an unknown value gets
    the next index after the last. rates: late rate per carrier code. routes: rate per route code.
    """

    levels: dict[str, tuple[str, ...]]
    rates: tuple[float, ...]
    routes: dict[int, float]

    def matrix(self, frame: pd.DataFrame) -> Matrix:
        """[N, 12] float32: route rate, carrier rate, origin code, then NUMERIC_FEATURES.

        Raises IndexError for a carrier that has no row in `rates`.
        """
        codes = text_codes(frame, self.levels)
        route = pd.Series(route_codes(frame, codes)).map(self.routes).fillna(UNSEEN_RATE)
        carrier = np.asarray(self.rates)[codes["carrier"]]
        numeric = frame[list(NUMERIC_FEATURES)].to_numpy(np.float32)
        leading = np.column_stack([route.to_numpy(), carrier, codes["origin"]])
        return np.hstack([leading.astype(np.float32), numeric])


def fit_encoding(frame: pd.DataFrame, *, unseen_carrier: bool) -> Encoding:
    """Learn levels and rates; `unseen_carrier` adds the row that an unknown carrier needs."""
    levels = {name: tuple(sorted(frame[name].unique())) for name in TEXT_FEATURES}
    codes = text_codes(frame, levels)
    late = frame[LABEL].to_numpy()
    carriers = late_rates(codes["carrier"], late)
    rates = [carriers[code] for code in range(len(levels["carrier"]))]
    routes = late_rates(route_codes(frame, codes), late)
    return Encoding(levels, tuple([*rates, UNSEEN_RATE] if unseen_carrier else rates), routes)


def text_codes(frame: pd.DataFrame, levels: dict[str, tuple[str, ...]]) -> dict[str, Codes]:
    """Index of each value among its levels; len(levels) where it is unknown."""
    codes = {}
    for name, known in levels.items():
        index = pd.Index(known).get_indexer(pd.Index(frame[name]))
        codes[name] = np.where(index < 0, len(known), index).astype(np.int64)
    return codes


def route_codes(frame: pd.DataFrame, codes: dict[str, Codes]) -> Codes:
    """One integer per flight; the distance counts in whole units, whatever the unit is."""
    total: Codes = np.rint(frame["distance"].to_numpy(np.float32)).astype(np.int64)
    for name, radix in RADIX.items():
        total = total + codes[name] * radix
    return total


def late_rates(keys: Codes, late: npt.NDArray[np.bool_]) -> dict[int, float]:
    """(late + 1) / (flights + 2) per key."""
    groups = pd.Series(late).groupby(keys).agg(["sum", "size"])
    rates = (groups["sum"] + 1) / (groups["size"] + 2)
    return {int(key): float(rate) for key, rate in rates.items()}  # type: ignore[call-overload]  # the index is made of integers
