"""When nothing is approved: weekly windows and spans, in the zone of whoever set them. Pure."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

UTC = ZoneInfo("UTC")
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class Weekly(msgspec.Struct, frozen=True, kw_only=True, tag="weekly", forbid_unknown_fields=True):
    """Every week on `days` (0 is Monday) from `start` to `end`, "HH:MM" on the zone's clock.

    An end that is not after the start is on the next day; both equal is a whole day.
    """

    days: tuple[int, ...]
    start: str
    end: str


class Span(msgspec.Struct, frozen=True, kw_only=True, tag="span", forbid_unknown_fields=True):
    """Once, from `start` up to `end`, on the zone's clock unless they say an offset."""

    start: datetime
    end: datetime


class BadWindow(ValueError):
    """A window that makes no sense; `path` is where the fault is."""

    def __init__(self, detail: str, path: str) -> None:
        super().__init__(detail)
        self.path = path


Window = Weekly | Span


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises BadWindow."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadWindow(f"{name!r} is no time zone", "zone") from error


def read_window(given: dict[str, Any]) -> Window:
    """A window from JSON. Raises BadWindow."""
    try:
        window = msgspec.convert(given, Window)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$")
        raise BadWindow(detail, f"window{where.strip('`')}") from error
    return _sound(window)


def _sound(window: Window) -> Window:
    if isinstance(window, Span):
        if _placed(window.start, UTC) >= _placed(window.end, UTC):
            raise BadWindow("ends before it starts", "window.end")
        return window
    if not window.days or not set(window.days) <= set(range(7)):
        raise BadWindow("takes days from 0 (Monday) to 6 (Sunday)", "window.days")
    for name in ("start", "end"):
        if not re.fullmatch(CLOCK, getattr(window, name)):
            raise BadWindow("takes times like 18:30", f"window.{name}")
    return window


def frozen_until(window: Window, zone: ZoneInfo, at: datetime) -> datetime | None:
    """When the window that covers `at` (aware) ends; None when none does."""
    if isinstance(window, Span):
        start, end = _placed(window.start, zone), _placed(window.end, zone)
        return end if start <= at < end else None
    at = at.astimezone(UTC)  # clocks of one zone compare by their faces, and faces come twice
    today = at.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        if day.weekday() in window.days:
            start, end = _on(day, window, zone)
            if start <= at < end:
                return end
    return None


def _on(day: date, window: Weekly, zone: ZoneInfo) -> tuple[datetime, datetime]:
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    last = day if end > start else day + timedelta(days=1)
    return datetime.combine(day, start, zone), datetime.combine(last, end, zone)


def _placed(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
