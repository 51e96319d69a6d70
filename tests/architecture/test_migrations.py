"""Migrations are complete, named, and can be undone; they know no code that will change."""

import ast
import re
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parents[2]
OURS = {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}
FILES = sorted((ROOT / "apps").glob("*/migrations/0*.py"))


def migrations() -> list[Migration]:
    loader = MigrationLoader(None)
    return [one for (label, _), one in loader.disk_migrations.items() if label in OURS]


@pytest.mark.django_db
def test_models__compared_with_migrations__none_is_missing() -> None:
    out = StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=out)
    assert "No changes detected" in out.getvalue()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_migration__each__has_a_telling_name(path: Path) -> None:
    assert not re.search(r"_auto_\d{8}", path.stem)


def test_migrations__each_operation__can_be_undone() -> None:
    stuck = [
        f"{one.app_label} {one.name}: {operation.describe()}"
        for one in migrations()
        for operation in one.operations
        if not operation.reversible
    ]
    assert stuck == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_migration__each__imports_no_code_of_the_product(path: Path) -> None:
    modules = [
        node.module or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    ]
    assert [name for name in modules if name.startswith(("apps", "controlplane"))] == []


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("label", ["deployments", "experiments", "monitoring", "routing"])
def test_migrations__undone_and_redone__leave_the_same_tables(label: str) -> None:
    before = set(connection.introspection.table_names())
    call_command("migrate", label, "zero", verbosity=0)
    call_command("migrate", verbosity=0)
    assert set(connection.introspection.table_names()) == before
