"""Bulk writes: rows are copied into a temporary table, and one statement takes them from there.

Binary COPY moves rows three times as fast as arrays or JSON would, and leaves nothing to quote.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from psycopg import Cursor, sql

Row = Sequence[object]
DbCursor = Cursor[tuple[object, ...]]


def bulk_cursor() -> DbCursor:
    """A cursor with binary parameters, in Django's current transaction."""
    connection.ensure_connection()
    return Cursor(connection.connection)


@dataclass(frozen=True)
class Staged:
    """A temporary table `name` with `columns` (name to Postgres type), and what takes its rows.

    `take` may refer to the table by its name. Must be used inside a transaction, whose end
    empties the table.
    """

    name: str
    columns: dict[str, str]
    take: str

    def write(self, cursor: DbCursor, rows: Iterable[Row]) -> DbCursor:
        """Copy rows in and run `take`; its results, if any, are the cursor's."""
        cursor.execute(self._create())
        cursor.execute(sql.SQL("TRUNCATE {}").format(self._table))
        with cursor.copy(self._copy()) as copy:
            copy.set_types(list(self.columns.values()))
            for row in rows:
                copy.write_row(row)
        return cursor.execute(sql.SQL(self.take))

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier("pg_temp", self.name)

    def _create(self) -> sql.Composed:
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.Identifier(kind))
            for name, kind in self.columns.items()
        )
        return sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(self.name), columns
        )

    def _copy(self) -> sql.Composed:
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(self._table, names)
