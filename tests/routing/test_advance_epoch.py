"""A new epoch is an administrator's decision."""

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.access import Role
from apps.events.models import Event
from apps.routing.models import Position
from tests.registry.factories import make_user

pytestmark = pytest.mark.django_db


def test_command__administrator__epoch_advanced_and_recorded() -> None:
    make_user("root", Role.ADMIN)
    call_command("advance_epoch", by="root", reason="restored")
    assert Position.objects.get().epoch == 2
    event = Event.objects.get(verb="routing.epoch_advanced")
    assert (event.actor_key, event.reason) == ("user:root", "restored")


@pytest.mark.parametrize("username", ["olga", "ghost"])
def test_command__anybody_else__refused(username: str) -> None:
    make_user("olga", Role.OPERATOR)
    with pytest.raises(CommandError):
        call_command("advance_epoch", by=username, reason="restored")
    assert not Position.objects.exists()
