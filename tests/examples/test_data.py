import pandas as pd
import pytest

from examples.flights.data import (
    FEATURES,
    IMPUTED,
    LABEL,
    WEATHER_FEATURES,
    arrived,
    frame_digest,
    load_flights,
)


@pytest.fixture(scope="module")
def january() -> pd.DataFrame:
    return load_flights((1,))


def test_flights__of_a_month__all_there_in_order_of_departure(january: pd.DataFrame) -> None:
    assert len(january) == 27_004
    assert january["time_hour"].is_monotonic_increasing


def test_features__gaps_in_the_weather__filled_with_the_declared_values(
    january: pd.DataFrame,
) -> None:
    assert not january[list(FEATURES)].isna().any().any()
    assert (january["pressure"] == IMPUTED["pressure"]).any()
    assert set(IMPUTED) == set(WEATHER_FEATURES)


def test_features__what_happens_after_departure__is_not_among_them() -> None:
    assert not set(FEATURES) & {"dep_delay", "dep_time", "arr_time", "arr_delay", "air_time"}


def test_label__more_than_fifteen_minutes__is_delayed(january: pd.DataFrame) -> None:
    edge = january[january["arr_delay"].isin([15.0, 16.0])]
    assert edge.groupby("arr_delay")[LABEL].mean().to_dict() == {15.0: 0.0, 16.0: 1.0}


def test_arrived__flights_that_never_arrived__are_left_out(january: pd.DataFrame) -> None:
    assert len(arrived(january)) == january["arr_delay"].notna().sum() < len(january)


def test_digest__one_label_turned__changes(january: pd.DataFrame) -> None:
    few = january.head(100)
    turned = few.assign(**{LABEL: ~few[LABEL].where(few.index == few.index[0], ~few[LABEL])})
    assert frame_digest(few) == frame_digest(few.copy())
    assert frame_digest(few) != frame_digest(turned)
