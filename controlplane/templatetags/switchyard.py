"""Template tags and filters that every page may use."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.template.defaultfilters import capfirst
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# One tone a state, everywhere; never colour alone, the word stands beside it.
TONES: Mapping[str, str] = {
    **dict.fromkeys(
        ("ok", "pass", "passed", "ready", "live", "completed", "production", "approved"), "ok"
    ),
    **dict.fromkeys(
        ("running", "pending", "queued", "staging", "requested", "loading", "progressing"),
        "running",
    ),
    **dict.fromkeys(
        (
            "inconclusive",
            "paused",
            "waiting",
            "deprecated",
            "expired",
            "void",
            "lagging",
            "expires soon",
            "attention",
        ),
        "attention",
    ),
    **dict.fromkeys(
        ("fail", "failed", "error", "rejected", "rolled_back", "aborted", "gone", "failing"),
        "failing",
    ),
}
VERDICTS: Mapping[str, str] = {
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "cannot tell",
    "error": "error",
}

# The page of each kind of object that the log knows.
ROUTES: Mapping[str, str] = {
    "promotion": "approval",
    "model": "model",
    "endpoint": "endpoint",
    "rollout": "rollout",
    "experiment": "experiment",
    "team": "team",
    "user": "person",
    "service": "service-account",
    "webhook": "webhook",
    "delivery": "delivery",
}


@register.simple_tag
def badge(text: object, state: object = "", dot: bool = False) -> SafeString:
    """A status badge: `text` in the tone of `state` (or of the text itself)."""
    tone = TONES.get(str(state or text).lower(), "")
    classes = " ".join(filter(None, ("badge", tone, "dot" if dot else "")))
    shown = words(text)
    return format_html('<span class="{}">{}</span>', classes, capfirst(shown) if dot else shown)


@register.simple_tag
def verdict(value: object) -> SafeString:
    """A check's verdict, in the words that we use everywhere."""
    key = str(value).lower()
    return badge(VERDICTS.get(key, key), key)


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """A moment, relative, with the absolute one on hover; the page's script keeps it fresh."""
    if moment is None:
        return "–"
    utc = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        utc.isoformat(),
        f"{utc:%Y-%m-%d %H:%M:%S}",
        ago(moment),
    )


@register.filter
def ago(moment: datetime) -> str:
    """ "3 minutes ago", or "in 2 hours"."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = round(abs(seconds) / size)
        if count >= 1:
            plural = "" if count == 1 else "s"
            return f"{count} {unit}{plural} ago" if seconds > 0 else f"in {count} {unit}{plural}"
    return "now"


@register.filter
def words(value: object) -> str:
    """An identifier as words: "rolled_back" -> "rolled back"."""
    return str(value).replace("_", " ")


@register.filter
def happened(event: Any) -> str:
    """What an event says, in words: "rollout.step_passed" -> "Rollout step passed"."""
    return str(event.verb).replace(".", " ").replace("_", " ").capitalize()


@register.simple_tag
def subject(key: str, after: object = None) -> SafeString:
    """An event's object, by its name and linked to its page where it has one.

    What an event says of it (`after`) names it better than its id does.
    """
    kind, _, name = key.partition(":")
    shown = _named(after) or (f"{kind} {name[-6:]}" if _UUID.fullmatch(name) else name)
    address = _address(kind, name)
    if not address:
        return format_html('<span class="note">{}</span>', shown)
    return format_html('<a href="{}">{}</a>', address, shown)


def _named(after: object) -> str:
    """A promotion request by what it asks for: "flights/3 → staging"."""
    if not isinstance(after, Mapping) or not {"version", "stage"} <= after.keys():
        return ""
    return f"{after['version']} → {after['stage']}"


def _address(kind: str, name: str) -> str:
    if kind == "version" and "/" in name:
        model, _, number = name.rpartition("/")
        return reverse("version", args=[model, number])
    if kind in ("policy", "freeze", "ladder"):
        return reverse("policy-list")
    route = ROUTES.get(kind, "")
    try:
        return reverse(route, args=[name]) if route and name else ""
    except NoReverseMatch:  # a name that no page can have
        return ""


@register.filter
def actor(key: str) -> str:
    """An actor's key as a reader knows it: "user:ada" -> "ada"."""
    kind, _, name = key.partition(":")
    return name if kind == "user" else f"{name} ({kind})"


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    """A share (0..1) as a percentage; "–" for what is not known."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


@register.filter
def basis_points(value: int) -> str:
    """Buckets of 10,000 as a percentage: 500 -> "5 %"."""
    return f"{value / 100:g} %"


@register.filter
def number(value: float | int | None) -> str:
    """A count with thin spaces between thousands, or a figure with four significant digits."""
    if value is None:
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return f"{int(value):,}".replace(",", "\u202f")


@register.filter
def signed(value: float | None) -> str:
    """A difference with its sign and three significant digits: "+0.0123"."""
    if value is None:
        return "–"
    return f"{value:+.3g}".replace("-", "\u2212") if value else "0"


@register.filter
def short(digest: str) -> str:
    """The first twelve characters of a digest."""
    return digest[:12]


@register.filter
def filesize(value: int | None) -> str:
    """Bytes in the unit that reads best."""
    size = float(value or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
