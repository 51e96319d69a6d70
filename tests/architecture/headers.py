"""What is wrong with a page's headers and markup for a browser that trusts nothing inline."""

import re
from collections.abc import Iterator
from typing import Any

HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
INLINE = re.compile(
    # data of a chart is no script: nothing runs it
    r"<style|\sstyle\s*=|<script(?![^>]*(?:\ssrc=|application/json))[^>]*>"
    r"|\son[a-z]+\s*=\s*[\"']|javascript:",
    re.IGNORECASE,
)


def faults(answer: Any) -> Iterator[str]:
    """Each thing that a strict policy would block, or that the headers leave open."""
    for name, value in HEADERS.items():
        if answer.get(name) != value:
            yield f"{name}: {answer.get(name)}"
    policy = answer.get("Content-Security-Policy", "")
    if "unsafe" in policy or "default-src 'none'" not in policy:
        yield f"policy: {policy}"
    if "frame-ancestors 'none'" not in policy:
        yield "may be framed"
    if answer.get("Content-Type", "").startswith("text/html"):
        yield from (f"inline: {found[0]}" for found in INLINE.finditer(answer.content.decode()))
