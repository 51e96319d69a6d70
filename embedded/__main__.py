"""`python -m embedded up|down|reset|status|run|exec`: the platform on this machine."""

import argparse
import subprocess
import sys
from pathlib import Path

from embedded import endpoints, lifecycle, places
from embedded.errors import EmbeddedError
from embedded.installation import remembered
from embedded.platform import NAMES, python_environment
from embedded.visit import Visit


def main() -> int:
    arguments = _parser().parse_args()
    home = (arguments.home or places.home()).resolve()
    try:
        return _COMMANDS[arguments.command](home, arguments)
    except EmbeddedError as error:
        print(f"switchyard: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _up(home: Path, arguments: argparse.Namespace) -> int:
    started = lifecycle.up(home, free_ports=arguments.free_ports, only=_only(arguments))
    print(f"web:                 {started.values['WEB_URL']}")
    print(f"addresses, sign-ins: {home / endpoints.FILE}")
    return 0


def _only(arguments: argparse.Namespace) -> frozenset[str]:
    return frozenset(arguments.only.split(",") if arguments.only else ())


def _down(home: Path, _arguments: argparse.Namespace) -> int:
    if not lifecycle.down(home):
        print("nothing was running")
    return 0


def _reset(home: Path, arguments: argparse.Namespace) -> int:
    question = f"Delete all state in {home}: models, history, secrets? [y/N] "
    if not arguments.yes and input(question).strip().lower() != "y":
        print("kept")
        return 1
    lifecycle.reset(home)
    print("deleted")
    return 0


def _status(home: Path, _arguments: argparse.Namespace) -> int:
    found = lifecycle.status(home)
    if not found:
        print("nothing is running")
        return 3
    for name, state, detail in found:
        print(f"{name:<11} {state:<9} {detail}")
    return 0 if all(state == "running" for _, state, _ in found) else 1


def _run(home: Path, arguments: argparse.Namespace) -> int:
    visit = Visit(
        command=_command(arguments), free_ports=arguments.free_ports, only=_only(arguments)
    )
    return visit.temporary() if arguments.temporary else visit.at(home)


def _exec(home: Path, arguments: argparse.Namespace) -> int:
    """`manage.py` or `pg_dump` beside what runs, with the settings that it runs by."""
    installation = remembered(home)
    if installation is None:
        raise EmbeddedError(f"nothing was ever started in {home}: python -m embedded up")
    command = _command(arguments)
    return subprocess.run(command, env=python_environment(installation), check=False).returncode


def _command(arguments: argparse.Namespace) -> list[str]:
    rest: list[str] = arguments.rest
    command = rest[1:] if rest[:1] == ["--"] else rest
    if not command:
        raise EmbeddedError(f"no command was given: python -m embedded {arguments.command} -- …")
    return command


_COMMANDS = {
    "up": _up,
    "down": _down,
    "reset": _reset,
    "status": _status,
    "run": _run,
    "exec": _exec,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("--home", type=Path, help="the state directory (SWITCHYARD_HOME)")
        if name in {"up", "run"}:
            command.add_argument("--free-ports", action="store_true", help="any free ports")
            command.add_argument("--only", help=f"comma-separated, of: {', '.join(NAMES)}")
        if name == "run":
            command.add_argument("--temporary", action="store_true", help="in a home of its own")
        if name in {"run", "exec"}:
            command.add_argument("rest", nargs=argparse.REMAINDER, help="-- COMMAND …")
        if name == "reset":
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    sys.exit(main())
