"""Floors know only the floors beneath them, and of another app only what it offers."""

import ast
from collections.abc import Iterator
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]
# What an app offers to the floors above it: package of the app -> modules.
OFFERED = {"services", "selectors", "errors", "models"}
MORE = {
    "accounts": {"access", "principals", "pages", "keyset", "live", "api"},
    "events": {"administration", "columns", "export"},
    "notices": {"outbound", "signing"},
    "registry": {
        "artifacts",
        "checks",
        "holds",
        "impact",
        "intake",
        "lineage",
        "mlflow",
        "panels",
        "policy",
        "promotion",
        "traffic",
    },
    "routing": {"panels"},
}


def product_files() -> Iterator[Path]:
    for folder in ("apps", "controlplane"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_import_contracts__as_declared__kept() -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS


def test_apps__of_another_app__import_only_what_it_offers() -> None:
    reached_in = []
    for path in product_files():
        parts = path.relative_to(ROOT).parts
        own = parts[1] if parts[0] == "apps" else ""
        for name in imported(path):
            steps = name.split(".")
            if len(steps) < 3 or steps[0] != "apps" or steps[1] == own or not own:
                continue
            if steps[2] not in OFFERED | MORE.get(steps[1], set()):
                reached_in.append(f"{path.relative_to(ROOT)} imports {name}")
    assert reached_in == []


def test_modules__none__is_a_drawer() -> None:
    drawers = {"utils", "helpers", "common", "misc", "util"}
    assert [path for path in product_files() if path.stem in drawers] == []
