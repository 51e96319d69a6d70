"""A browser's User-Agent in the words of whoever uses it."""

import re
from collections.abc import Sequence

# In this order: most of them claim to be the ones after them, too.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
LONGEST = 40


def browser_words(agent: str) -> str:
    """ "Firefox on Linux"; the beginning of what a program calls itself; "" for nothing."""
    browser, system = _first(BROWSERS, agent), _first(SYSTEMS, agent)
    if browser and system:
        return f"{browser} on {system}"
    return agent.partition(" ")[0][:LONGEST]


def _first(known: Sequence[tuple[str, str]], agent: str) -> str:
    return next((name for sign, name in known if re.search(sign, agent)), "")
