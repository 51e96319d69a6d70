"""`manage.py bootstrap_demo`: the demo's people, programs and tokens; prints them as JSON."""

import json
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.demo import bootstrap

PASSWORDS = "SWITCHYARD_DEMO_PASSWORDS"  # the name of a variable


class Command(BaseCommand):
    """Idempotent; passwords and token texts are kept in `.switchyard/demo.json` (0600)."""

    help = (
        "Make the demo's users, service accounts and tokens, and print them as JSON. "
        f'{PASSWORDS} may hold passwords as JSON: {{"operator": "…"}}.'
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuses in production: its accounts are the administrators' to make."""
        if settings.ENVIRONMENT_NAME == "production":
            raise CommandError("the demo's accounts are not for production")
        kept = bootstrap(
            path=settings.CONFIG.switchyard_home / "demo.json",
            passwords=_given_passwords(),
        )
        self.stdout.write(json.dumps(kept.document()))


def _given_passwords() -> dict[str, str]:
    try:
        given = json.loads(os.environ.get(PASSWORDS) or "{}")
    except json.JSONDecodeError as error:
        raise CommandError(f"{PASSWORDS} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise CommandError(f"{PASSWORDS} must be a JSON object of user name to password")
    return {str(name): str(text) for name, text in given.items()}
