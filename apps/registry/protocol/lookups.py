"""SQL's LIKE and ILIKE with the pattern as it was given, and the text of a tag."""

from typing import Any

from django.db.models import CharField, F, Func, Lookup, TextField, Value
from django.db.models.sql.compiler import SQLCompiler


class Like(Lookup):
    """`column LIKE pattern`, with SQL's % and _."""

    lookup_name = "like"
    operator = "LIKE"

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """The comparison and its parameters."""
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        return f"{left} {self.operator} {right}", (*left_values, *right_values)


class ILike(Like):
    """`column ILIKE pattern`."""

    lookup_name = "ilike"
    operator = "ILIKE"


def register() -> None:
    """Let every text be compared like this: `name__like`, `name__ilike`."""
    for field in (CharField, TextField):
        field.register_lookup(Like)
        field.register_lookup(ILike)


def tag_text(key: str) -> Func:
    """The value of one tag as text. A key of digits is a key, too, and no position."""
    return Func(
        F("tags"),
        Value(key),
        template="(%(expressions)s::text)",
        arg_joiner=" ->> ",
        output_field=TextField(),
    )
