"""Every list of the registry, as a page and over REST, over a full catalogue; how long each takes.

Import it once Django is set up. Addresses hold what people narrow lists by, pages far behind
included: each is measured by itself, so that a slow one does not hide among others.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.test import Client

from apps.registry.models import ModelVersion, PromotionRequest, RegisteredModel, StageTransition
from benchmarks._catalogue import BIG

MLFLOW = "/api/2.0/mlflow"
Narrowed = Sequence[dict[str, Any]]
BACKEND = "django.contrib.auth.backends.ModelBackend"


def addresses() -> list[str]:
    """Of every list, plain and narrowed; as they are in this catalogue."""
    return [*_models(), *_versions(), *_requests(), *_histories(), *_elsewhere(), *_protocol()]


def _models() -> list[str]:
    middle = RegisteredModel.objects.order_by("id")[RegisteredModel.objects.count() // 2].pk
    narrowed: Narrowed = (
        {},
        {"before": middle},
        {"name": "fraud"},
        {"owner": "person-007"},
        {"team": "team-03", "tier": "critical"},
        {"tag": "personal_data"},
        {"tag": "domain:cargo"},
        {"stage": "production"},
        {"stage": "staging"},
        {"metric": "auc >= 0.99"},
        {"metric": "auc > 1"},
    )
    rest: Narrowed = ({}, {"name": "fraud"}, {"owner": "person-007"}, {"tag": "domain:cargo"})
    return [*_with("/models/", narrowed), *_with("/api/v1/models", rest)]


def _versions() -> list[str]:
    deep = ModelVersion.objects.filter(model__name=BIG).order_by("id")[1_000].pk
    narrowed: Narrowed = (
        {},
        {"before": deep},
        {"stage": "dev"},
        {"stage": "production"},
        {"stage": "deprecated"},
        {"stage": "staging"},
        {"tag": "reviewed"},
        {"tag": "dataset:set-7"},
        {"tag": "trigger:manual"},
        {"tag": "commit:none"},
        {"author": "person-007"},
        {"author": "nobody"},
        {"metric": "auc >= 0.7"},
        {"metric": "auc >= 0.99989"},
        {"metric": "auc > 1"},
        {"metric": "auc > 1", "stage": "dev"},
        {"metric": "unknown > 1"},
    )
    rest: Narrowed = (
        {},
        {"stage": "staging"},
        {"tag": "reviewed"},
        {"tag": "commit:none"},
        {"run_id": "none"},
    )
    version = f"{BIG}/versions/{_promoted().number}"
    return [
        *_with(f"/models/{BIG}/", narrowed),
        *_with(f"/api/v1/models/{BIG}/versions", rest),
        f"/models/{version}/",
        *(f"/models/{version}/{tab}/" for tab in ("evidence", "lineage", "card", "history")),
        *(f"/api/v1/models/{version}{of}" for of in ("", "/validations", "/transitions")),
        f"/api/v1/models/{version}/lineage",
        f"/models/{BIG}/compare",
    ]


def _promoted() -> ModelVersion:
    return ModelVersion.objects.filter(model__name=BIG).at_the_top().order_by("-number")[0]


def _requests() -> list[str]:
    rows = PromotionRequest.objects.order_by("id")
    deep = rows[rows.count() // 10].pk
    narrowed: Narrowed = (
        {},
        *({"box": box} for box in ("mine", "asked", "decided", "all")),
        {"box": "all", "before": deep},
        {"box": "all", "model": BIG},
        {"box": "all", "model": BIG, "state": "withdrawn"},
        {"box": "decided", "team": "team-03", "stage": "production"},
        {"box": "decided", "tier": "critical", "state": "expired"},
        {"box": "all", "older_than_h": "7000"},
        {"box": "all", "model": "nothing"},
        {"team": "team-03"},
    )
    rest: Narrowed = (
        {},
        {"state": "requested"},
        {"model": BIG},
        {"team": "team-03", "state": "expired"},
    )
    boxes = [{"box": box} for box in ("mine", "waiting", "decided")]
    one = f"{rows.filter(version__model__name=BIG).latest('id').pk}"
    return [
        *_with("/approvals/", narrowed),
        f"/approvals/{one}/",
        *_with("/api/v1/promotion-requests", rest),
        *_with("/api/v1/promotion-inbox", boxes),
        f"/api/v1/promotion-requests/{one}/checks",
        f"/api/v1/promotion-requests/{one}/comments",
    ]


def _histories() -> list[str]:
    moves = StageTransition.objects.order_by("id")
    at = moves[moves.count() // 2].occurred_at.isoformat()
    quiet = RegisteredModel.objects.order_by("-id")[0].name
    return [
        f"/models/{BIG}/history",
        *_with(f"/models/{BIG}/history", [{"at": at}]),
        f"/models/{quiet}/history",
        *_with(f"/api/v1/models/{BIG}/history", ({}, {"at": at}, {"stage": "staging"})),
        *_with(f"/api/v1/models/{BIG}/history", [{"at": at, "stage": "production"}]),
        *_with(f"/api/v1/models/{BIG}/production", ({}, {"at": at})),
    ]


def _elsewhere() -> list[str]:
    """Lists of other parts that show the registry's rows."""
    audit: Narrowed = (
        {},
        {"verb": "promotion.*"},
        {"object": f"model:{BIG}"},
        {"actor": "user:nobody"},
    )
    return [
        "/",
        *_with("/search", [{"q": "fraud"}, {"q": BIG}]),
        *_with("/audit/", audit),
        *_with("/api/v1/events", audit),
    ]


def _protocol() -> list[str]:
    models: Narrowed = (
        {},
        *({"filter": text} for text in ("name ILIKE '%FRAUD%'", "tags.domain = 'crew'")),
    )
    big = f"name = '{BIG}'"
    filters = (
        big,
        f"{big} AND tags.reviewed = 'yes'",
        f"{big} AND tags.trigger = 'manual'",
        f"{big} AND tags.dataset != 'set-7'",
        f"{big} AND tags.`commit` LIKE 'zz%'",
        "run_id = 'none'",
        "source_path LIKE '%zzzz%'",
        "tags.reviewed = 'yes'",
    )
    return [
        *_with(f"{MLFLOW}/registered-models/search", models),
        *_with(
            f"{MLFLOW}/model-versions/search",
            [{"filter": text, "max_results": 100} for text in filters],
        ),
        *_with(
            f"{MLFLOW}/model-versions/search",
            [{"filter": big, "max_results": 100, "order_by": "creation_timestamp ASC"}],
        ),
        *_with(f"{MLFLOW}/registered-models/get", [{"name": BIG}]),
        *_with(f"{MLFLOW}/registered-models/alias", [{"name": BIG, "alias": "champion"}]),
    ]


def _with(path: str, narrowed: Narrowed) -> list[str]:
    return [f"{path}?{urlencode(one)}" if one else path for one in narrowed]


@dataclass
class Queries:
    """Seconds in the database, and the statements with their parameters."""

    seconds: float = 0.0
    made: list[tuple[str, Any]] = field(default_factory=list)

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        began = perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += perf_counter() - began
            self.made.append((sql, params))


@contextmanager
def queries() -> Iterator[Queries]:
    """What the block asks the database for."""
    seen = Queries()
    with connection.execute_wrapper(seen):
        yield seen


def signed_in(user: Any) -> Client:
    """A client of this process with a session."""
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user, backend=BACKEND)
    return client


def query_times(client: Client, address: str, *, times: int) -> list[float]:
    """Milliseconds in the database of each request; the first one is not counted."""
    found = []
    for _ in range(times + 1):
        with queries() as seen:
            answer = client.get(address)
        assert answer.status_code == 200, (address, answer.status_code, answer.content[:500])
        found.append(1_000 * seen.seconds)
    return found[1:]


def page_times(port: int, cookie: str, address: str, *, times: int) -> list[float]:
    """Milliseconds from the request to the last byte, over HTTP; the first one is not counted."""
    site = HTTPConnection("127.0.0.1", port)
    found = []
    for _ in range(times + 1):
        began = perf_counter()
        site.request("GET", address, headers={"Cookie": cookie})
        answer = site.getresponse()
        body = answer.read()
        found.append(1_000 * (perf_counter() - began))
        assert answer.status == 200, (address, answer.status, body[:500])
    site.close()
    return found[1:]


def p95(values: Sequence[float]) -> float:
    """The smallest value that 95 % do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
