"""Every write service asks whether its actor may do this.

Read from the source: each function that services offer and that takes an `actor` reaches, through
functions of its own app, a call of `authorise` or a question what the actor may do.
"""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = sorted(path.name for path in (ROOT / "apps").glob("[a-z]*/"))
DECIDES = {"authorise", "authorise_anywhere", "can", "can_anywhere"}
# Writes that need no permission, each for a reason.
FREE = {
    "record": "the log itself: whoever changes something records it",
    "record_sign_in": "the password was the permission",
}


def calls_of(app: str) -> dict[str, set[str]]:
    """Names that each function of an app calls, by the function's name."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "apps" / app).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, set()).update(_called(node))
    return found


def _called(function: ast.FunctionDef) -> set[str]:
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            target = node.func
            names.add(
                target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            )
    return names


def reaches(name: str, calls: dict[str, set[str]]) -> bool:
    """Whether a function leads to a decision."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in DECIDES:
            return True
        if current not in seen:
            seen.add(current)
            waiting += calls.get(current, set())
    return False


@pytest.mark.parametrize("app", APPS)
def test_services__each_with_an_actor__asks_for_leave(app: str) -> None:
    services = importlib.import_module(f"apps.{app}.services")
    calls = calls_of(app)
    unasked = [
        name
        for name, function in inspect.getmembers(services, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__.startswith(f"apps.{app}.")
        and "actor" in inspect.signature(function).parameters
        and name not in FREE
        and not reaches(name, calls)
    ]
    assert unasked == []
