"""Pages of HTML lists by position: the thousandth page costs what the first one does."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict

from apps.events.errors import Invalid

PAGE_SIZE = 50


@dataclass(frozen=True)
class Page:
    """Rows of one page, newest first, with the addresses of its neighbours ("" for none)."""

    rows: list[Any]
    next: str
    previous: str


def keyset(request: HttpRequest, rows: QuerySet[Any], *, size: int = PAGE_SIZE) -> Page:
    """The page that `?before=<key>` asks for, ordered by descending primary key.

    Raises Invalid when `before` is not a key. The URL keeps every other filter.
    """
    before = request.GET.get("before", "")
    ordered = rows.order_by("-pk")
    if before:
        ordered = ordered.filter(pk__lt=_key(rows.model, before))
    found = list(ordered[: size + 1])
    more = len(found) > size
    return Page(
        rows=found[:size],
        next=_address(request.GET, str(found[size - 1].pk)) if more else "",
        previous=_address(request.GET, "") if before else "",
    )


def _key(model: type[Model], text: str) -> int | UUID | str:
    try:
        return model._meta.pk.to_python(text)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise Invalid(f"{text!r} is not a position in this list", field="before") from error


def _address(query: QueryDict, before: str) -> str:
    kept = query.copy()
    kept.pop("before", None)
    if before:
        kept["before"] = before
    return f"?{kept.urlencode()}"
