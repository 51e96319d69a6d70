"""The inbox of promotion requests: what waits, for whom, and what is decided."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.registry import services
from apps.registry.inbox import Box, InboxFilter, inbox
from apps.registry.models import PromotionRequest
from tests.registry.factories import (
    approver,
    asked,
    make_team,
    person,
    scientist,
    validated_version,
)

pytestmark = pytest.mark.django_db


def test_inbox__of_each_box__what_is_mine_to_decide() -> None:
    mine = asked()
    named = {"name": "risk", "people": ["user:rita"]}
    services.set_policy(
        actor=person("root", Role.ADMIN),
        team=make_team(),
        stage="staging",
        tier="",
        rules={"groups": [named]},
        reason="decided",
    )
    theirs = asked(validated_version(number=2))
    done = asked(validated_version(number=3))
    services.withdraw(actor=scientist(), request=done, reason="no")
    rita = person("rita", Role.APPROVER, team="risk")

    def found(who: Principal, box: Box, **words: Any) -> list[PromotionRequest]:
        return list(inbox(who, InboxFilter(box=box, **words), now=timezone.now()))

    assert found(approver(), Box.MINE) == [mine]
    assert found(rita, Box.MINE) == [theirs]
    assert found(scientist(), Box.MINE) == []
    assert found(scientist(), Box.ASKED) == [done, theirs, mine]
    assert found(approver(), Box.WAITING, model="flights", stage="staging") == [theirs, mine]
    assert found(approver(), Box.WAITING, tier="critical") == []
    assert found(approver(), Box.WAITING, older_than=timedelta(hours=1)) == []
    assert found(approver(), Box.DECIDED) == [done]
