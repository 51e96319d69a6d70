"""Every process, twice: what a person waits for."""

import time

import psutil
import pytest

from embedded.platform import NAMES
from tests.embedded.conftest import CommandLine

SECOND_START_S = 15.0


@pytest.mark.proof
def test_platform__started_twice__second_start_is_quick_and_stop_leaves_nothing(
    embedded: CommandLine,
) -> None:
    begun_at = time.monotonic()
    assert embedded("up", "--free-ports").returncode == 0
    first = time.monotonic() - begun_at
    assert set(embedded.pids()) == set(NAMES)
    pids = embedded.pids().values()
    assert embedded("down").returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    begun_at = time.monotonic()
    assert embedded("up", "--free-ports").returncode == 0
    second = time.monotonic() - begun_at
    print(f"first_start_s={first:.1f}\nsecond_start_s={second:.1f}")
    assert second < SECOND_START_S
