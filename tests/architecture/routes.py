"""Every route of the web process, with an address to try it at."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern, RoutePattern
from rest_framework.views import APIView

# Reachable by everybody, each for a reason.
PUBLIC = {
    "healthz": "a probe",
    "readyz": "a probe",
    "metrics": "guards itself: a token, or this machine",
    "check-callback": "its token is the permission",
    "mirror-hint": "a hint of MLflow: it can make a poll come sooner, and nothing else",
    "sign-in": "where one signs in",
    "sign-out": "ends a session that need not be there",
    "admin-sign-in": "sends to sign-in",
    "mfa_authenticate": "the second step of signing in",
    "openid_connect_login": "to the identity provider",
    "openid_connect_callback": "back from it, with a state that must be the session's",
}
NOTHING = uuid.UUID(int=0)
BY_CONVERTER = {"int": 1, "uuid": NOTHING, "slug": "nothing", "str": "nothing", "path": "nothing"}


@dataclass(frozen=True)
class Route:
    """One named pattern: `view` is the class of a REST view, or a page's function."""

    name: str
    path: str
    pattern: str
    callback: Any

    @property
    def view_class(self) -> type[APIView] | None:
        found = getattr(self.callback, "cls", None)
        return found if isinstance(found, type) and issubclass(found, APIView) else None

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith(("api/", "v1/"))

    def methods(self) -> list[str]:
        """HTTP methods that the REST view implements."""
        view = self.view_class
        names = ("get", "post", "put", "patch", "delete")
        return [name.upper() for name in names if view and hasattr(view, name)]


@cache
def all_routes() -> tuple[Route, ...]:
    """Everything but Django's admin, which guards itself, and static files."""
    return tuple(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: Any, prefix: str, path: str) -> Iterator[Route]:
    for entry in patterns:
        text = prefix + str(entry.pattern)
        address = path + _address(entry.pattern)
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from _walk(entry.url_patterns, text, address)
        elif isinstance(entry, URLPattern):
            yield Route(entry.name or "", f"/{address}", text, entry.callback)


def _address(pattern: Any) -> str:
    if isinstance(pattern, RegexPattern):
        return _of_regex(pattern)
    text = str(pattern)
    assert isinstance(pattern, RoutePattern), text
    for name, converter in pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        sample = str(BY_CONVERTER[kind])
        text = text.replace(f"<{kind}:{name}>", sample).replace(f"<{name}>", sample)
    return text


def _of_regex(pattern: RegexPattern) -> str:
    """Fill the groups of an anchored pattern: the first word of a choice, or an id."""

    def sample(group: "re.Match[str]") -> str:
        choice = re.match(r"[a-z_]+(?=[|)])", group[1])
        return choice[0] if choice else str(NOTHING)

    return re.sub(r"\(\?P<\w+>([^()]*\))", sample, str(pattern).strip("^$"))
