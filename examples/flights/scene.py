"""Who plays in the story and where: the accounts, the gateway, the traffic, the ledger."""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from examples.flights.client import Account
from examples.flights.ledger import Ledger
from examples.flights.register import MODEL_NAME, Registered
from examples.flights.traffic import Replay

TEAM = "flights"
ENDPOINT = MODEL_NAME


def semantic(name: str) -> str:
    """The semantic version of "v2": what answers carry."""
    return f"{name.removeprefix('v')}.0.0"


@dataclass(frozen=True)
class Pace:
    """How fast the story goes: requests/s, seconds that a ramp step holds, and what it needs."""

    rate: float = 150.0
    hold_s: int = 5
    minimum_requests: int = 50
    minimum_labels: int = 30


@dataclass(frozen=True)
class Places:
    """Where the platform answers, and the token of each role: `endpoints.json`."""

    web: str
    gateway: str
    mlflow: str
    tokens: dict[str, str]
    users: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError, or KeyError where the file lacks an address."""
        found: dict[str, Any] = json.loads(path.read_text())
        return cls(
            web=found["web"],
            gateway=found["gateway_http"],
            mlflow=found["mlflow"],
            tokens=found["tokens"],
            users=found.get("users", {}),
        )


@dataclass
class Scene:
    """Everything a chapter may touch. Versions go by name ("v2")."""

    places: Places
    pace: Pace
    ledger: Ledger
    scientist: Account
    approver: Account
    operator: Account
    ci: Account
    replay: Replay
    began_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    registered: dict[str, Registered] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> str:
        """The registry's sequence number of "v2", as text."""
        return self.numbers[name]


def account(places: Places, role: str, stack: ExitStack) -> Account:
    """The control plane's REST API as this role, closed with the stack."""
    opened = Account(url=f"{places.web.rstrip('/')}/api/v1", token=places.tokens[role])
    return stack.enter_context(opened)
