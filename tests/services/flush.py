"""How a test with real transactions empties tables whose triggers refuse TRUNCATE.

The event log is insert-only for everybody, its owner included. Only the test cluster grants the
owner the setting used here.
"""

from collections.abc import Iterable

# django.db.models first: the backend's module cannot be imported before it.
import django.db.models  # noqa: F401
import pytest
from django.db import connections, transaction
from django.db.backends.postgresql.operations import DatabaseOperations


def let_tests_empty_guarded_tables() -> None:
    """For the whole run; the patch is never undone."""
    patch = pytest.MonkeyPatch()
    patch.setattr(DatabaseOperations, "execute_sql_flush", _flush_without_triggers)


def _flush_without_triggers(self: DatabaseOperations, sql_list: Iterable[str]) -> None:
    alias = self.connection.alias
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in sql_list:
            cursor.execute(statement)
