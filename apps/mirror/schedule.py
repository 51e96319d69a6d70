"""When a mirror is asked again: pure, no clock and no chance of its own."""

from datetime import timedelta

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=5)


def wait(failures: int, *, jitter: float) -> timedelta:
    """How long after the `failures`-th failure in a row; `jitter` in [0, 1) takes off up to half.

    2 s, 4 s, 8 s … 5 min: mirrors of one MLflow do not come back to it all at once.
    """
    grown = min(FIRST_WAIT * 2.0 ** min(failures - 1, 20), LONGEST_WAIT)
    return grown * (1 - jitter / 2)
