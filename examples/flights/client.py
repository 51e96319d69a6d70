"""JSON over HTTP as the story uses it: one client per account and service."""

from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_S = 30.0


class Refused(Exception):
    """The API answered with a problem (RFC 9457): its status, title, detail and faulty fields."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.kind = str(problem.get("type", ""))
        super().__init__(f"{status} {self.title}: {self.detail} {problem.get('errors') or ''}")


class Account:
    """Calls under one address with one token; every method returns the decoded JSON body."""

    def __init__(self, *, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=TIMEOUT_S,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | float) -> Any:
        """GET one resource. Refused on any problem."""
        return _body(self._http.get(path, params=query))

    def listing(self, path: str, **query: str | int | float) -> list[Any]:
        """GET every page of a collection."""
        page = self.get(path, **query)
        items = list(page["results"])
        while page.get("next"):
            page = _body(self._http.get(page["next"]))
            items.extend(page["results"])
        return items

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST a JSON body. Refused on any problem."""
        return _body(self._http.post(path, json=body or {}))

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """PUT a JSON body. Refused on any problem."""
        return _body(self._http.put(path, json=body))


def _body(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else {}
    raise Refused(response.status_code, _problem(response))


def _problem(response: httpx.Response) -> dict[str, Any]:
    if "json" in response.headers.get("content-type", ""):
        found = response.json()
        return found if isinstance(found, dict) else {"detail": str(found)}
    return {"title": response.reason_phrase, "detail": response.text[:200]}
