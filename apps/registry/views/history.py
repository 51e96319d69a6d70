"""Which version was in production at a moment, who approved it, on what evidence."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission
from apps.accounts.pages import page
from apps.events.errors import Invalid
from apps.registry.past import MOST_SHOWN, Served, at_moment, every_time, newest_times
from apps.registry.production import strip
from apps.registry.selectors import get_model
from apps.registry.views.catalogue import heading
from apps.registry.views.words import checks_words

FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    *("model", "version", "since", "until", "put_there_by", "approved_by", "why"),
    *("promotion_request", "content_digest", "evidence_digest", "checks"),
)


@require_GET
@page(Permission.VIEW)
def history(request: HttpRequest, name: str) -> HttpResponse:
    """What was in production at `at` (by default now), beside every such time."""
    found = get_model(name)
    now = timezone.now()
    at = moment_of(request.GET.get("at", ""), now)
    served = newest_times(found, at=at)
    context = {
        **heading(found),
        "tab": "history",
        "at": at,
        "at_text": f"{at:%Y-%m-%dT%H:%M}",
        "asked": "at" in request.GET,
        "then": [(one, checks_words(_checks(one))) for one in at_moment(served, at)],
        "served": served[::-1],
        "more": len(served) >= MOST_SHOWN,
        "strip": strip([one.stretch for one in served], at=at, now=now) if served else None,
    }
    return render(request, "registry/history.html", context)


def moment_of(text: str, now: datetime) -> datetime:
    """A moment as forms and addresses give it; without a zone it is UTC. Raises Invalid."""
    if not text:
        return now
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise Invalid(f"{text[:40]!r} is no moment: say e.g. 2026-03-01T12:00", field="at")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _checks(one: Served) -> list[dict[str, object]]:
    return list(one.request.evidence.get("checks", [])) if one.request else []


@require_GET
@page(Permission.VIEW)
def history_file(request: HttpRequest, name: str) -> HttpResponseBase:
    """Every time in production as CSV, in UTC."""
    found = get_model(name)
    answer = StreamingHttpResponse(_lines(found.name, every_time(found)))
    answer["Content-Type"] = "text/csv; charset=utf-8"
    file_name = f"{found.name}-production.csv".replace(" ", "-")
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _lines(name: str, served: list[Served]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for one in served:
        yield writer.writerow([_cell(value) for value in _row(name, one)])


def _row(name: str, one: Served) -> tuple[object, ...]:
    until = one.stretch.until
    return (
        name,
        one.stretch.number,
        one.stretch.since.astimezone(UTC).isoformat(),
        until.astimezone(UTC).isoformat() if until else "",
        one.move.actor_key,
        " ".join(one.approvers),
        one.move.reason,
        one.request.pk if one.request else "",
        one.move.digest,
        one.request.evidence_digest if one.request else "",
        checks_words(_checks(one)),
    )


def _cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
