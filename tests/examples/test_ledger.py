import io

import pytest

from examples.flights.ledger import Deviation, Ledger, watch


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(out=io.StringIO())


def test_step__all_as_expected__is_entered(ledger: Ledger) -> None:
    with ledger.step("count", expected="two") as step:
        step.see("two")
    assert ledger.as_expected
    assert "ok    1. count" in ledger.table()


def test_step__requirement_not_met__is_entered_as_a_deviation(ledger: Ledger) -> None:
    with pytest.raises(Deviation), ledger.step("count", expected="two") as step:
        step.require(False, "one")
    assert not ledger.as_expected
    assert "FAIL  1. count" in ledger.table()


def test_watch__states_pass_by__tells_each_change_once() -> None:
    states = iter(["queued", "queued", "running", "done"])
    told: list[str] = []
    watch(
        lambda: next(states),
        until=lambda state: state == "done",
        describe=str,
        tell=told.append,
        timeout_s=10,
    )
    assert told == ["  queued", "  running", "  done"]


def test_watch__never_right__deviates_with_the_last_state() -> None:
    with pytest.raises(Deviation, match="still: queued"):
        watch(
            lambda: "queued",
            until=lambda _: False,
            describe=str,
            tell=lambda _: None,
            timeout_s=0,
        )
