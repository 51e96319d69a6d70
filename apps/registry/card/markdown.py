"""Markdown as HTML that is safe to show, whoever wrote it; and values as Markdown text. Pure."""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

# HTML in the text stays text; links to scripts are refused by the parser, the rest by nh3.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_TAGS = {
    *("a", "p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_SCHEMES = {"http", "https", "mailto"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def to_html(text: str) -> SafeString:
    """CommonMark with tables; no images, no HTML, no scripts, no addresses but web and mail."""
    html = nh3.clean(
        _PARSER.render(text),
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # noqa: S308  # nh3 let through only the tags above


def literal(value: object) -> str:
    """A value as Markdown that shows exactly it, on one line, in a table cell too."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def table(head: list[str], rows: list[list[object]]) -> list[str]:
    """Lines of a table; empty without rows."""
    if not rows:
        return []
    lines = [head, ["---"] * len(head), *([literal(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
