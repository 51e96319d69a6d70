"""Small explicit makers of webhooks."""

from typing import Any

from django.db import transaction

from apps.events.models import Event
from apps.events.services import record
from apps.notices import services
from apps.notices.models import Webhook
from tests.accounts import factories


def webhook(url: str, **fields: Any) -> tuple[Webhook, str]:
    """A webhook of the team flights, and its secret."""
    team = factories.team(fields.pop("team_key", "flights"))
    return services.create_webhook(actor=factories.TESTS, team=team, url=url, **fields)


def event(
    verb: str = "promotion.requested",
    *,
    object_key: str = "promotion:1",
    team_key: str = "flights",
    actor: Any = factories.TESTS,
    **told: Any,
) -> Event:
    """Something that happened."""
    with transaction.atomic():
        made = record(actor=actor, verb=verb, object_key=object_key, team_key=team_key, **told)
    made.refresh_from_db()
    return made
