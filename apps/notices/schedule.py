"""When a message is sent again, and when it is given up: pure, no clock and no chance of its own.

A failure of the address (nothing answers, or something before the receiver says so) holds all of
its messages; a failure of one message (the receiver refuses it) holds that one alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

MOST_TRIES = 10
FIRST_WAIT = timedelta(seconds=5)
FACTOR = 4.0
LONGEST_WAIT = timedelta(hours=6)
LONGEST_HOLD = timedelta(minutes=5)
LONGEST_RETRY_AFTER = timedelta(hours=1)
# Answers of something before the receiver, or of a receiver that asks for patience.
BUSY = frozenset({408, 429, 502, 503, 504})
GONE = 410


class Verdict(StrEnum):
    """What becomes of a message after a try."""

    DELIVERED = "delivered"
    AGAIN = "again"
    HOLD = "hold"
    GONE = "gone"


@dataclass(frozen=True)
class Outcome:
    """What came of a try: a status, or None and why nothing came. Times in seconds."""

    status: int | None = None
    error: str = ""
    excerpt: str = ""
    latency_s: float | None = None
    retry_after_s: float | None = None


def judge(outcome: Outcome) -> Verdict:
    """What the answer means; 410 says that the address wants nothing any more."""
    if outcome.status is None or outcome.status in BUSY:
        return Verdict.HOLD
    if 200 <= outcome.status < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if outcome.status == GONE else Verdict.AGAIN


def wait(tries: int, *, jitter: float) -> timedelta:
    """How long after the `tries`-th failure; `jitter` in [0, 1) takes off up to a quarter.

    5 s, 20 s, 80 s, 5 min, 21 min, 85 min, then 6 h each: ten tries span 20 hours.
    """
    grown: float = FACTOR ** min(tries - 1, 10)
    return min(FIRST_WAIT * grown, LONGEST_WAIT) * (1 - jitter / 4)


def hold(failures: int, *, jitter: float, retry_after_s: float | None = None) -> timedelta:
    """How long an address that failed `failures` times in a row is left alone."""
    planned = min(wait(failures, jitter=jitter), LONGEST_HOLD)
    asked = timedelta(seconds=retry_after_s or 0)
    return max(planned, min(asked, LONGEST_RETRY_AFTER))
