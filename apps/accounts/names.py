"""What teams and programs may be called: what an address can hold."""

import re

from apps.events.errors import Invalid

KEY = re.compile(r"[a-zA-Z0-9_-]{1,60}")


def check_key(text: str, *, field: str) -> None:
    """Raise Invalid unless `text` is 1 to 60 letters, digits, hyphens and underscores."""
    if not KEY.fullmatch(text):
        raise Invalid("takes 1 to 60 letters, digits, hyphens and underscores", field=field)
