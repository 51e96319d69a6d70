"""Every state of a replica, and everything that can happen to it there."""

import pytest

from dataplane.gateway.health import PROBES_FAILED, WARM_UPS, Health, State, Trigger

NEXT: dict[State, dict[Trigger, State]] = {
    "serving": {
        "passed": "serving",
        "failed": "serving",
        "warmed": "serving",
        "answered": "serving",
        "lost": "out",
    },
    "out": {
        "passed": "warming",
        "failed": "out",
        "warmed": "out",
        "answered": "serving",
        "lost": "out",
    },
    "warming": {
        "passed": "warming",
        "failed": "out",
        "warmed": "warming",
        "answered": "serving",
        "lost": "out",
    },
}
CASES = [(state, trigger) for state, row in NEXT.items() for trigger in row]


@pytest.mark.parametrize(("state", "trigger"), CASES)
def test_health__something_happens__goes_where_the_table_says(
    state: State, trigger: Trigger
) -> None:
    health = Health(state)
    changed = health.on(trigger)
    assert health.state == NEXT[state][trigger]
    assert changed == (health.state != state)


def test_health__probes_fail_in_a_row__is_out_at_the_last_of_them() -> None:
    health = Health()
    states = [health.on("failed") and health.state for _ in range(PROBES_FAILED)]
    assert states == [*[False] * (PROBES_FAILED - 1), "out"]


@pytest.mark.parametrize("trigger", ["passed", "answered"])
def test_health__something_good_between_failed_probes__starts_the_count_again(
    trigger: Trigger,
) -> None:
    health = Health()
    failed: Trigger = "failed"
    for each in (failed, failed, trigger, failed, failed):
        health.on(each)
    assert health.state == "serving"


def test_health__out_and_probed_well__serves_after_its_warm_up_and_not_before() -> None:
    health = Health("out", failures=PROBES_FAILED)
    health.on("passed")
    states = [health.on("warmed") and health.state for _ in range(WARM_UPS)]
    assert states == [*[False] * (WARM_UPS - 1), "serving"]


def test_health__lost_while_warming__warms_up_from_the_start_next_time() -> None:
    health = Health("warming", warm_ups=WARM_UPS - 1)
    health.on("lost")
    health.on("passed")
    health.on("warmed")
    assert health.state == "warming"
