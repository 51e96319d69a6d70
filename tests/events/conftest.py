"""What the tests of the event log share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction

from apps.events import subscriptions
from apps.events.models import Event
from apps.events.services import record


@dataclass(frozen=True)
class SomeActor:
    key: str = "user:ada"
    responsible_key: str = ""


@pytest.fixture
def add() -> Callable[..., Event]:
    """Records an event in a transaction of its own."""

    def add_event(verb: str = "thing.done", object_key: str = "thing:1", **more: Any) -> Event:
        with transaction.atomic():
            return record(actor=SomeActor(), verb=verb, object_key=object_key, **more)

    return add_event


@pytest.fixture
def only_our_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what the apps registered at start-up."""
    monkeypatch.setattr(subscriptions, "_subscriptions", {})
