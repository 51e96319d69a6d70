"""Who gets in where: what each address answers to each kind of visitor, as words of a table.

`access.csv` is that table, for people to read: a row an address and method, a column a visitor.
`UPDATE_ACCESS_TABLE=1` writes what was found; the difference is then for a reviewer to judge.

    yes      let in (whatever the object then says)
    no       403
    hidden   404 for an object that is there
    input    let in, and refused for its input before anybody asked whose object it is
    state    let in, and refused for the state of things before anybody asked whose they are
    sign in  sent to the sign-in page, or 401
    error    a fault of ours, which the test refuses
"""

import csv
import os
import zlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

from apps.accounts.access import GRANTS, Permission, Role
from tests.architecture.routes import PUBLIC, Route, all_routes

TABLE = Path(__file__).with_name("access.csv")
UPDATE = "UPDATE_ACCESS_TABLE"
COLUMNS = ("route", "method", "needs", "anonymous", *(role.value for role in Role), "stranger")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
Row = dict[str, str]
Key = tuple[str, str]


def word(status: int) -> str:
    """An answer's status as the table says it."""
    words: Mapping[int, str] = {
        HTTPStatus.UNAUTHORIZED: "sign in",
        HTTPStatus.FORBIDDEN: "no",
        HTTPStatus.NOT_FOUND: "hidden",
        HTTPStatus.METHOD_NOT_ALLOWED: "-",
        HTTPStatus.BAD_REQUEST: "input",
        HTTPStatus.UNPROCESSABLE_ENTITY: "input",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "input",
        HTTPStatus.CONFLICT: "state",
    }
    return words.get(status, "error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "yes")


def guarded() -> list[Route]:
    """Every route that is not open to everybody."""
    return [route for route in all_routes() if route.name not in PUBLIC]


def needs(route: Route, method: str) -> Permission | None:
    """The permission that the route declares for the method."""
    if not route.is_api:
        return Permission(route.callback.permission)
    declared: Mapping[str, Permission] = getattr(route.view_class, "permissions", {})
    return declared.get(method)


def declared(role: Role, permission: Permission | None) -> str:
    """What a role of the team is told at the door."""
    return "yes" if permission in GRANTS[role] else "no"


def one_of(roles: list[Role], route: Route, method: str) -> Role:
    """One of the roles that may, another one for every route."""
    return roles[zlib.crc32(f"{route.name} {method}".encode()) % len(roles)]


def kept() -> dict[Key, Row]:
    """The table as it is in the tree."""
    with TABLE.open(newline="") as opened:
        return {(row["route"], row["method"]): row for row in csv.DictReader(opened)}


def keep(rows: Iterable[Row]) -> None:
    """Write the table, when asked to."""
    if not os.environ.get(UPDATE):
        return
    with TABLE.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["route"], row["method"])))
