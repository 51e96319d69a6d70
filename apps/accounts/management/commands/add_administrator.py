"""`manage.py add_administrator`: the first administrator, or one more when nobody is left."""

import os
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts import services
from apps.accounts.access import Role, system
from apps.accounts.models import Team, User
from apps.events.errors import DomainError

ACTOR = system("setup")
PASSWORD = "SWITCHYARD_ADMIN_PASSWORD"  # noqa: S105  # the name of a variable


class Command(BaseCommand):
    """Whoever can run this on the machine is trusted; the event log says that it was run."""

    help = (
        "Give a person the role admin in a team; both are made when they are not there. "
        f"A new person's password is read from {PASSWORD}, or asked for."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and where."""
        parser.add_argument("username")
        parser.add_argument("--team", required=True, help="the team's key")

    @transaction.atomic
    def handle(self, *args: Any, username: str, team: str, **options: Any) -> None:
        """All of it or nothing. Raises CommandError in the service's words."""
        try:
            person = User.objects.filter(username=username).first() or services.create_user(
                actor=ACTOR,
                username=username,
                password=os.environ.get(PASSWORD) or getpass("Password: "),
            )
            theirs = Team.objects.filter(key=team).first() or services.create_team(
                actor=ACTOR, key=team, name=team.replace("-", " ").capitalize()
            )
            services.add_member(
                actor=ACTOR,
                user=person,
                team=theirs,
                role=Role.ADMIN,
                reason="manage.py add_administrator",
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{username} administers {theirs.key}")
