"""Rates: bursts, debts, and what the bucket holds after a while."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import rig
from dataplane.gateway.limits import RateLimits, client_timeout
from dataplane.gateway.problems import Refusal
from dataplane.gateway.rates import SharedBuckets, empty


def admitted(limits: RateLimits, now: float, tries: int = 1, **client: Any) -> int:
    """How many of so many requests at one moment are let in."""
    passed = 0
    for _ in range(tries):
        try:
            limits.admit(rig.client(**client), now)
        except Refusal:
            continue
        passed += 1
    return passed


def test_rate__burst__is_let_in_at_once_and_refilled_at_the_rate() -> None:
    limits, client = RateLimits(), {"requests_per_second": 10.0, "burst": 5}
    assert admitted(limits, 100.0, 20, **client) == 5
    assert admitted(limits, 100.3, 20, **client) == 3
    assert admitted(limits, 200.0, 20, **client) == 5


def test_rate__no_burst_given__is_one_second_s_worth() -> None:
    assert admitted(RateLimits(), 1.0, 20, requests_per_second=7.0) == 7
    assert admitted(RateLimits(), 1.0, 20, requests_per_second=0.2) == 1


def test_rate__a_list__may_overdraw_and_is_paid_back() -> None:
    limits, client = RateLimits(), rig.client(requests_per_second=10.0, burst=2)
    limits.admit(client, 50.0)
    limits.charge(client, 20)
    with pytest.raises(Refusal) as refused:
        limits.admit(client, 50.0)
    assert (refused.value.status, refused.value.retry_after) == (429, 2)
    limits.admit(client, 52.0)


def test_rate__two_clients__do_not_share_a_bucket() -> None:
    limits = RateLimits()
    assert admitted(limits, 1.0, 9, requests_per_second=1.0) == 1
    limits.admit(rig.client("other", requests_per_second=1.0), 1.0)
    limits.keep_only(["other"])
    assert admitted(limits, 1.0, 1, requests_per_second=1.0) == 1


def test_rate__two_processes_share_the_buckets__their_rates_add_up(tmp_path: Path) -> None:
    path = tmp_path / "rates"
    client: dict[str, Any] = {"requests_per_second": 10.0, "burst": 8}
    empty(path)
    shared = [SharedBuckets(path) for _ in range(2)]
    one, other = (RateLimits(each) for each in shared)
    assert [admitted(one, 100.0, 5, **client), admitted(other, 100.0, 9, **client)] == [5, 3]
    assert admitted(one, 100.0, 1, name="second", **client) == 1
    other.charge(rig.client(**client), 5)
    assert admitted(one, 100.5, 1, **client) == 0
    one.keep_only([])
    assert admitted(one, 100.65, 9, **client) == 1
    for each in shared:
        each.close()


@pytest.mark.parametrize("text", [b"", b"0", b"-5", b"1.5", b"soon", b"9999999999"])
def test_timeout_header__not_a_positive_whole_number__is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        client_timeout({b"x-request-timeout-ms": text})


def test_timeout_header__milliseconds__are_seconds() -> None:
    assert client_timeout({b"x-request-timeout-ms": b"250"}) == 0.25
    assert client_timeout({}) is None
