"""Tiles cover time exactly once; steps never promise more than the windows can tell."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.monitoring.tiling import HOUR, MINUTE, SECOND, Tile, steps, tiles

NOW = 1_750_003_600
DAY = 86_400


@given(since=st.integers(NOW - 3 * DAY, NOW), length=st.integers(0, 3 * DAY))
def test_tiles__any_period__no_gap_no_overlap(since: int, length: int) -> None:
    covered = tiles(since, since + length, now=NOW)
    for tile in covered:
        assert tile.since % tile.width_s == tile.until % tile.width_s == 0
        assert tile.since < tile.until
    for one, two in pairwise(covered):
        assert one.until == two.since
    if covered:
        assert covered[0].since <= since < covered[0].since + MINUTE
        assert covered[-1].until - MINUTE < since + length <= covered[-1].until


@given(since=st.integers(NOW - 3 * DAY, NOW), length=st.integers(0, 3 * DAY))
def test_tiles__any_period__are_few_and_read_no_second_that_may_be_gone(
    since: int, length: int
) -> None:
    covered = tiles(since, since + length, now=NOW)
    assert len(covered) <= 5
    assert all(tile.since > NOW - HOUR for tile in covered if tile.width_s == SECOND)


def test_tiles__from_a_second_to_a_second__whole_hours_between() -> None:
    first = NOW - NOW % HOUR
    assert tiles(first - 3_000, first + 5 * HOUR + 61, now=first) == [
        Tile(MINUTE, first - 3_000, first),
        Tile(HOUR, first, first + 5 * HOUR),
        Tile(MINUTE, first + 5 * HOUR, first + 5 * HOUR + 60),
        Tile(SECOND, first + 5 * HOUR + 60, first + 5 * HOUR + 61),
    ]


@pytest.mark.parametrize(
    ("age", "asked", "step", "width"),
    [
        (600, 8, 8, SECOND),
        (600, 90, 120, MINUTE),
        (7_200, 8, 60, MINUTE),
        (30 * DAY, 5_000, 7_200, HOUR),
    ],
)
def test_steps__asked_for__taken_up_to_what_is_kept(
    age: int, asked: int, step: int, width: int
) -> None:
    found = steps(NOW - age, NOW, asked, now=NOW)
    assert (found.step_s, found.width_s) == (step, width)
    assert found.starts()[0] <= NOW - age
    assert found.starts()[-1] + found.step_s >= NOW
