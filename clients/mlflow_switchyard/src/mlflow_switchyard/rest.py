"""JSON over HTTP with a token: refusals become one sentence, lost connections are tried again."""

import time
import uuid
from typing import Any

import requests
from click import ClickException
from mlflow.exceptions import MlflowException

TIMEOUT_S = 60.0
TRIES = 4
BUSY = frozenset({502, 503, 504})


class Refused(MlflowException, ClickException):  # type: ignore[misc]  # both keep a `message`
    """What went wrong, in one sentence; the command line prints it and exits with 1.

    `status` is the HTTP status of the answer, or None when there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        MlflowException.__init__(self, sentence)
        ClickException.__init__(self, sentence)
        self.status = status


class Rest:
    """Calls under one address with one token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        # Polls are far apart, and a server that restarts meanwhile would break a kept connection.
        self._session.headers["Connection"] = "close"

    def get(self, path: str, **query: Any) -> Any:
        """The decoded answer. Raises Refused."""
        return self._call("GET", path, params=query)

    def listing(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every item of a collection, page by page."""
        page = self.get(path, **query)
        items: list[dict[str, Any]] = list(page["results"])
        while page.get("next"):
            page = self._answer(self._send("GET", page["next"]))
            items += page["results"]
        return items

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send once, however often the connection is lost: the tries share an idempotency key."""
        return self._call("POST", path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Change what `body` names."""
        return self._call("PATCH", path, json=body)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return self._answer(self._send(method, self._url + path, **options))

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        for waited in range(TRIES):
            last = waited == TRIES - 1
            try:
                answer = self._session.request(method, url, timeout=TIMEOUT_S, **options)
            except requests.RequestException as error:
                if last:
                    raise Refused(f"{self._url} does not answer: {error}") from error
            else:
                if last or answer.status_code not in BUSY:
                    return answer
            time.sleep(0.5 * 2**waited)
        raise Refused(f"{self._url} does not answer")

    def _answer(self, answer: requests.Response) -> Any:
        if answer.ok:
            return answer.json() if answer.content else {}
        raise Refused(_sentence(answer), answer.status_code)


def _sentence(answer: requests.Response) -> str:
    """The problem's own words, with the field that each fault is about."""
    try:
        problem = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.reason}"
    if not isinstance(problem, dict):
        return f"{answer.status_code} {answer.reason}"
    said = str(problem.get("detail") or problem.get("title") or answer.reason)
    faults = [
        f"{fault['path'].removeprefix('$.')}: {fault['detail']}"
        for fault in problem.get("errors", [])
        if fault.get("detail") not in said
    ]
    return "; ".join([said, *faults])
