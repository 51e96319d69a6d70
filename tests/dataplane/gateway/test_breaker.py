"""The breaker as a pure machine: every state with everything that can happen to it."""

from collections.abc import Callable

import pytest

from contracts.policy import Breaker as BreakerSpec
from dataplane.gateway.breaker import Breaker, State, Window

SPEC = BreakerSpec(window_s=10, minimum=20, error_share=0.5, open_s=2, probes=3)
OPENED_AT = 100.0


def closed() -> Breaker:
    return Breaker(SPEC)


def opened() -> Breaker:
    breaker = closed()
    breaker.observe(0, 20, OPENED_AT)
    return breaker


def probing() -> Breaker:
    """Half-open, with a probe under way."""
    breaker = opened()
    assert breaker.let_probe(OPENED_AT + 2)
    return breaker


def half_open() -> Breaker:
    """Half-open after one good probe."""
    breaker = probing()
    breaker.probed(True, OPENED_AT + 2.1)
    return breaker


MADE = {"closed": closed, "open": opened, "half_open": half_open, "probing": probing}
TRIGGERS: dict[str, Callable[[Breaker, float], object]] = {
    "good rows": lambda breaker, now: breaker.observe(30, 0, now),
    "bad rows": lambda breaker, now: breaker.observe(0, 30, now),
    "few bad rows": lambda breaker, now: breaker.observe(0, 3, now),
    "good probe": lambda breaker, now: breaker.probed(True, now),
    "bad probe": lambda breaker, now: breaker.probed(False, now),
    "lost probe": lambda breaker, now: breaker.probed(None, now),
    "request": lambda breaker, now: breaker.let_probe(now) if not breaker.closed else None,
    "wait": lambda breaker, now: None,
}
CLOSED, OPEN, HALF = State.CLOSED, State.OPEN, State.HALF_OPEN
AFTER = {  # state 0.5 s after the trigger
    "closed": dict.fromkeys(TRIGGERS, CLOSED) | {"bad rows": OPEN},
    "open": dict.fromkeys(TRIGGERS, OPEN),
    "half_open": dict.fromkeys(TRIGGERS, HALF),
    "probing": dict.fromkeys(TRIGGERS, HALF) | {"bad probe": OPEN},
}


@pytest.mark.parametrize("state", MADE)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_breaker__state_and_trigger__goes_where_the_table_says(state: str, trigger: str) -> None:
    breaker = MADE[state]()
    now = OPENED_AT + (1.0 if state == "open" else 2.2)
    TRIGGERS[trigger](breaker, now)
    assert breaker.state(now + 0.5) is AFTER[state][trigger]


def test_half_open__one_row_at_a_time__is_let_through() -> None:
    breaker = opened()
    assert not breaker.let_probe(OPENED_AT + 1.9)
    assert [breaker.let_probe(OPENED_AT + 2.0) for _ in range(3)] == [True, False, False]
    breaker.probed(None, OPENED_AT + 2.1)
    assert breaker.let_probe(OPENED_AT + 2.1)


def test_half_open__enough_good_probes__close_it_and_forget_the_past() -> None:
    breaker = opened()
    for _ in range(SPEC.probes):
        assert not breaker.closed
        assert breaker.let_probe(OPENED_AT + 2)
        breaker.probed(True, OPENED_AT + 2)
    assert breaker.closed
    breaker.observe(0, 3, OPENED_AT + 2)
    assert breaker.closed


def test_half_open__bad_probe__waits_again_in_full() -> None:
    breaker = probing()
    breaker.probed(False, OPENED_AT + 3)
    assert breaker.state(OPENED_AT + 4.9) is OPEN
    assert breaker.state(OPENED_AT + 5.0) is HALF
    assert breaker.opened == 1


@pytest.mark.parametrize(
    ("good", "bad", "expected"), [(11, 9, CLOSED), (10, 10, OPEN), (0, 19, CLOSED)]
)
def test_closed__share_and_minimum__decide(good: int, bad: int, expected: State) -> None:
    breaker = closed()
    breaker.observe(good, bad, 5.0)
    assert breaker.state(5.0) is expected


def test_window__slides__forgets_what_is_older() -> None:
    window = Window(10)
    for second in range(15):
        window.add(1, 2, float(second))
    assert window.totals(14.0) == (10, 20)
    assert window.totals(30.0) == (0, 0)
