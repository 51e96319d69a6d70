"""Back-ups of the tests' database, as its server sees them: whole, and at one moment."""

import psycopg
from django.db import connection
from psycopg import sql

from embedded.private import PrivateServices


class Backup:
    """A copy of the database as it is now. Whoever is connected is cut off, now and again later."""

    def __init__(self, services: PrivateServices) -> None:
        self._url = services.postgres().url()
        self._name = str(connection.settings_dict["NAME"])
        self._copy = f"{self._name}_backup"
        self._replace(self._copy, self._name)

    def restore(self) -> None:
        """Put the copy in the database's place."""
        self._replace(self._name, self._copy)

    def drop(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as server:
            server.execute(_statement("DROP DATABASE IF EXISTS {}", self._copy))

    def _replace(self, target: str, source: str) -> None:
        connection.close()
        with psycopg.connect(self._url, autocommit=True) as server:
            server.execute(_statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", target))
            server.execute(_statement("ALTER DATABASE {} ALLOW_CONNECTIONS false", source))
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [source],
            )
            server.execute(
                _statement("CREATE DATABASE {} TEMPLATE {} OWNER switchyard_owner", target, source)
            )
            server.execute(_statement("ALTER DATABASE {} ALLOW_CONNECTIONS true", source))


def _statement(text: str, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
