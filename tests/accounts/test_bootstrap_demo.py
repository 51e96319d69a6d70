"""`manage.py bootstrap_demo`."""

import json
import stat
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.access import Role
from apps.accounts.models import Token, User
from apps.accounts.principals import of_token
from tests.conftest import Configure

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(tmp_path: Path, configure: Configure) -> Path:
    configure(switchyard_home=tmp_path)
    return tmp_path


def run() -> dict[str, Any]:
    out = StringIO()
    call_command("bootstrap_demo", stdout=out)
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


def test_bootstrap_demo__first_run__one_working_token_per_role() -> None:
    tokens = run()["tokens"]
    assert set(tokens) == {role.value for role in Role}
    for role, text in tokens.items():
        principal = of_token(text, now=timezone.now())
        assert principal.roles == {"flights": {Role(role)}}


def test_bootstrap_demo__second_run__prints_the_same_and_makes_nothing() -> None:
    first = run()
    made = Token.objects.count()
    assert run() == first
    assert Token.objects.count() == made


def test_bootstrap_demo__file__is_readable_by_its_owner_only(home: Path) -> None:
    run()
    assert stat.S_IMODE((home / "demo.json").stat().st_mode) == 0o600


def test_bootstrap_demo__given_password__wins(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setenv("SWITCHYARD_DEMO_PASSWORDS", '{"operator": "a password given"}')
    assert run()["users"]["operator"] == "a password given"
    assert User.objects.get(username="operator").check_password("a password given")


def test_bootstrap_demo__file_lost__tokens_are_issued_anew(home: Path) -> None:
    before = run()["tokens"]
    (home / "demo.json").unlink()
    after = run()["tokens"]
    assert before["ci"] != after["ci"]
    assert of_token(after["ci"], now=timezone.now()).key == "service:ci"


def test_bootstrap_demo__in_production__refused(settings: Settings) -> None:
    settings.ENVIRONMENT_NAME = "production"
    with pytest.raises(CommandError):
        run()
