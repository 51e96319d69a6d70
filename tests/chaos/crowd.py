"""Clients that ask on and on and keep books of what they were answered."""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks import rig

CLIENTS = 6
USERS = 10 * CLIENTS
PAUSE_S = 0.018  # some 300 requests/s from all of them
Kind = Literal["ok", "model", "invalid_output", "rejected"]

FEATURES: dict[Kind, dict[str, Any]] = {
    "ok": rig.example(),
    "model": rig.example(code=rig.CODES),
    "invalid_output": rig.example(code=rig.NAN_CODE),
    "rejected": rig.example(carrier=7),
}
STATUS: dict[Kind, int] = {"ok": 200, "model": 502, "invalid_output": 502, "rejected": 422}
# Of 40 requests one each is bad in these ways.
BAD: dict[int, Kind] = {7: "model", 17: "rejected", 27: "invalid_output"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What `user` was told; `kind` is what the features asked for."""

    user: str
    kind: Kind
    status: int
    body: dict[str, Any]

    @property
    def as_planned(self) -> bool:
        """Whether good features were answered and bad ones refused, as they should be."""
        if self.kind in ("ok", "rejected"):
            return self.status == STATUS[self.kind]
        said = str(self.body["type"]).rpartition(":")[2]
        return (self.status, said) == (STATUS[self.kind], f"prediction_failed_{self.kind}")

    @property
    def version(self) -> str:
        """The registry's key of the version that answered ("rig/1")."""
        return "rig/" + str(self.body["model_version"]).partition(".")[0]


class Client(threading.Thread):
    """One connection after another; its users are its own, so their answers are in order."""

    def __init__(self, port: int, number: int, *, key: str, bad: bool) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._port, self._number, self._bad = port, number, bad
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._halt = threading.Event()
        self.answers: list[Answer] = []
        self.cut_off: list[tuple[str, Kind]] = []

    def run(self) -> None:
        connection = self._connection()
        for user, kind in self._plan():
            if self._halt.wait(PAUSE_S):
                break
            try:
                self.answers.append(self._ask(connection, user, kind))
            except (OSError, http.client.HTTPException):
                self.cut_off.append((user, kind))
                connection.close()
                connection = self._connection()
        connection.close()

    def halt(self) -> None:
        self._halt.set()

    def _plan(self) -> Iterator[tuple[str, Kind]]:
        count = 0
        while True:
            user = f"user-{(count * CLIENTS + self._number) % USERS}"
            yield user, BAD.get((count + 13 * self._number) % 40, "ok") if self._bad else "ok"
            count += 1

    def _ask(self, connection: http.client.HTTPConnection, user: str, kind: Kind) -> Answer:
        question = {"model": "rig", "features": FEATURES[kind], "user_id": user}
        connection.request("POST", "/v1/predict", json.dumps(question), self._headers)
        answer = connection.getresponse()
        return Answer(user, kind, answer.status, json.loads(answer.read()))

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)


class Crowd:
    """All clients. As a context it asks from the first line to the last."""

    def __init__(self, port: int, *, key: str = rig.CLIENT_KEY, bad: bool = True) -> None:
        self._clients = [Client(port, number, key=key, bad=bad) for number in range(CLIENTS)]

    def __enter__(self) -> "Crowd":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.halt()
        for client in self._clients:
            client.join(20)

    @property
    def answers(self) -> list[Answer]:
        """Everything that was answered, each user's answers in order."""
        return [answer for client in self._clients for answer in client.answers]

    @property
    def newest(self) -> Answer:
        """What one of the clients was told last."""
        return self._clients[0].answers[-1]

    @property
    def cut_off(self) -> list[tuple[str, Kind]]:
        """Who asked what and got no answer at all."""
        return [each for client in self._clients for each in client.cut_off]

    def surprises(self) -> list[object]:
        """Whatever did not go as it should have for a client."""
        return [*self.cut_off, *(each for each in self.answers if not each.as_planned)]

    def go_on(self, *, seconds: float = 0.0, answers: int = 1, limit_s: float = 20.0) -> None:
        """Come back after `seconds`, and so many more answers. Raises AssertionError."""
        deadline, wanted = time.monotonic() + limit_s, self._count() + answers
        time.sleep(seconds)
        while self._count() < wanted:
            assert time.monotonic() < deadline, f"{self._count()} answers, not {wanted}"
            time.sleep(0.02)

    def _count(self) -> int:
        return sum(len(client.answers) for client in self._clients)


def by_user(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """Each user's answers, in order."""
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.user, []).append(answer)
    return found
