"""The log as a file of any length: rows are read by position, a thousand at a time, and sent on."""

import csv
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from apps.events.models import EventQuerySet

CHUNK = 1_000
COLUMNS = (
    "id",
    "occurred_at",
    "actor_key",
    "responsible_key",
    "verb",
    "object_key",
    "team_key",
    "reason",
    "correlation_id",
)
# JSON has what a table cannot: what was there before and after.
FIELDS = (*COLUMNS, "before", "after")
# A spreadsheet takes a cell that starts like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(events: EventQuerySet) -> Iterator[bytes]:
    """Comma-separated, newest first, a line of names at the top."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS).encode()
    for rows in _pages(events, COLUMNS):
        yield "".join(writer.writerow(map(_cell, row)) for row in rows).encode()


def as_lines(events: EventQuerySet) -> Iterator[bytes]:
    """One JSON object a line, newest first."""
    encode = msgspec.json.Encoder().encode
    for rows in _pages(events, FIELDS):
        objects = (encode(dict(zip(FIELDS, row, strict=True))) for row in rows)
        yield b"".join(line + b"\n" for line in objects)


def _pages(events: EventQuerySet, fields: tuple[str, ...]) -> Iterator[list[Any]]:
    """Each page by its own short query: no cursor stays open while a slow reader reads."""
    ordered = events.order_by("-id").values_list(*fields)
    page = list(ordered[:CHUNK])
    while page:
        yield page
        page = list(ordered.filter(id__lt=page[-1][0])[:CHUNK])


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def stream(
    request: HttpRequest, chunks: Iterator[bytes], *, content_type: str, name: str
) -> StreamingHttpResponse:
    """An answer that sends `chunks` as they come, whichever server asks for it."""
    is_async = isinstance(request, ASGIRequest)
    answer = StreamingHttpResponse(
        _later(chunks) if is_async else chunks, content_type=f"{content_type}; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


async def _later(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    following = sync_to_async(partial(next, chunks, b""))
    while chunk := await following():
        yield chunk
