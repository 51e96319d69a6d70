"""The first administrator, from the command line."""

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.access import Permission, authorise
from apps.accounts.models import Team, User
from apps.accounts.principals import of_user
from apps.events.models import Event

pytestmark = pytest.mark.django_db
PASSWORD = "SWITCHYARD_ADMIN_PASSWORD"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "correct horse battery")


def test_add_administrator__empty_installation__person_and_team_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("add_administrator", "ada", team="flights")
    ada = User.objects.get(username="ada")
    assert ada.check_password("correct horse battery")
    authorise(of_user(ada), Permission.ADMINISTER, team_key="flights")
    assert Event.objects.get(verb="membership.added").actor_key == "system:setup"
    assert "ada administers flights" in capsys.readouterr().out
    with pytest.raises(CommandError, match="already"):
        call_command("add_administrator", "ada", team="flights")


def test_add_administrator__weak_password__nothing_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD, "123")
    with pytest.raises(CommandError):
        call_command("add_administrator", "ada", team="flights")
    assert not User.objects.exists()
    assert not Team.objects.exists()
