"""Renewing a lease while work goes on."""

import threading

import pytest
from django.db import DatabaseError

from apps.registry.services.leases import renewed


def test_lease__long_work__is_renewed_until_it_ends() -> None:
    renewals, enough = [], threading.Event()

    def renew() -> bool:
        renewals.append(1)
        if len(renewals) == 3:
            enough.set()
        return True

    with renewed(renew, every_s=0.001):
        assert enough.wait(5)
    assert len(renewals) >= 3


def test_lease__lost__is_not_renewed_again() -> None:
    renewals, lost = [], threading.Event()

    def renew() -> bool:
        renewals.append(1)
        lost.set()
        return False

    with renewed(renew, every_s=0.001):
        assert lost.wait(5)
    assert len(renewals) == 1


def test_lease__database_away__work_goes_on() -> None:
    asked = threading.Event()

    def renew() -> bool:
        asked.set()
        raise DatabaseError("away")

    with renewed(renew, every_s=0.001):
        assert asked.wait(5)


def test_lease__work_fails__its_error_comes_through() -> None:
    with pytest.raises(ValueError, match="work"), renewed(lambda: True, every_s=10):
        raise ValueError("work")
