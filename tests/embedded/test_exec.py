"""Commands beside what runs, with its settings."""

from embedded import ports
from embedded.installation import open_installation, remember
from tests.embedded.conftest import CommandLine


def test_exec__in_a_known_home__has_the_settings_of_the_platform(embedded: CommandLine) -> None:
    remember(open_installation(embedded.home, chosen_ports=ports.free(), environ={}))
    shown = embedded("exec", "--", "sh", "-c", 'echo "$DATABASE_URL $SWITCHYARD_HOME"; exit 7')
    assert shown.returncode == 7
    assert shown.stdout.startswith("postgresql://switchyard_app:")
    assert shown.stdout.strip().endswith(str(embedded.home))


def test_exec__nothing_was_started_here__says_so(embedded: CommandLine) -> None:
    refused = embedded("exec", "--", "true")
    assert refused.returncode == 1
    assert "nothing was ever started" in refused.stderr


def test_exec__no_command__says_so(embedded: CommandLine) -> None:
    remember(open_installation(embedded.home, chosen_ports=ports.free(), environ={}))
    assert "no command was given" in embedded("exec").stderr
