"""The registry's REST resources."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.accounts.models import ServiceAccount, Token, User
from apps.accounts.principals import token_digest
from apps.events.models import Event
from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.selectors import get_version
from tests.conftest import Configure
from tests.registry.factories import (
    approver,
    make_model,
    make_team,
    make_validation,
    make_version,
    person,
    scientist,
    service,
)
from tests.registry.mlflow_runs import log_run
from tests.registry.takeovers import taken_over, working

pytestmark = [
    pytest.mark.django_db,
    # mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
    pytest.mark.filterwarnings("ignore:::mlflow"),
]
Call = Callable[..., Any]
STAGING = {"stage": "staging", "reason": "better"}


def bearer(actor: Principal) -> str:
    """An Authorization header of whoever acts."""
    text = f"swy_{actor.key}"
    name = actor.key.partition(":")[2]
    owner: dict[str, Any] = (
        {"user": User.objects.get(username=name)}
        if actor.kind == "user"
        else {"service_account": ServiceAccount.objects.get(name=name)}
    )
    expires_at = timezone.now() + timedelta(hours=1)
    Token.objects.get_or_create(
        digest=token_digest(text), defaults={**owner, "name": "test", "expires_at": expires_at}
    )
    return f"Bearer {text}"


@pytest.fixture
def call(client: Client) -> Call:
    """`call(actor, "GET", path, body)` -> response."""

    def send(actor: Principal, method: str, path: str, body: object = None) -> Any:
        return client.generic(
            method,
            f"/api/v1{path}",
            data=b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": bearer(actor)},
        )

    return send


def test_models__registered__can_be_read(call: Call) -> None:
    make_team()
    body = {"name": "flights", "team": "ops", "tier": "critical", "tags": {"domain": "air"}}
    made = call(scientist(), "POST", "/models", body)
    assert made.status_code == 201
    read = call(scientist(), "GET", "/models/flights").json()
    assert read == made.json()
    assert (read["owner"], read["tier"], read["tags"]) == ("ada", "critical", {"domain": "air"})


def test_models__registered_by_a_pipeline__owned_by_its_human(call: Call) -> None:
    made = call(service("ci", "ada"), "POST", "/models", {"name": "flights", "team": "ops"})
    assert made.json()["owner"] == "ada"


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        ({"team": "ops"}, "$.name", 400),
        ({"name": "Fl/ights", "team": "ops"}, "$.name", 422),
        ({"name": "flights", "team": "nobody"}, "", 403),
        ({"name": "flights", "team": "ops", "tier": "best"}, "$.tier", 400),
        ({"name": "flights", "team": "ops", "tags": {"a": {}}}, "$.tags.a", 400),
        ({"name": "flights", "team": "ops", "owner": "nobody"}, "$.owner", 422),
        ({"name": "flights", "team": "ops", "colour": "red"}, "$.colour", 400),
        ([], "$", 400),
    ],
)
def test_models__bad_input__problem_names_the_field(
    call: Call, body: object, path: str, status: int
) -> None:
    make_team()
    answer = call(scientist(), "POST", "/models", body)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["path"] for error in answer.json().get("errors", [])] == ([path] if path else [])
    assert not RegisteredModel.objects.exists()


def test_models__name_taken__conflict(call: Call) -> None:
    make_model()
    answer = call(scientist(), "POST", "/models", {"name": "flights", "team": "ops"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (409, "$.name")


def test_models__filters__find_by_name_tag_tier_and_owner(call: Call) -> None:
    for name, tags in (("flights", {"domain": "air"}), ("trains", {"domain": "rail"})):
        model = make_model(name)
        RegisteredModel.objects.filter(pk=model.pk).update(tags=tags)
    for query in ("name=light", "tag=domain:air", "tier=standard&name=flights"):
        found = call(scientist(), "GET", f"/models?{query}").json()["results"]
        assert [row["name"] for row in found] == ["flights"], query
    assert len(call(scientist(), "GET", "/models?tag=domain&owner=ada").json()["results"]) == 2


def test_models__changed__event_has_before_and_after(call: Call) -> None:
    make_model()
    answer = call(scientist(), "PATCH", "/models/flights", {"description": "late?"})
    assert answer.json()["description"] == "late?"
    event = Event.objects.get(verb="model.updated")
    texts = [side["description"] for side in (event.before, event.after) if side]
    assert texts == ["", "late?"]


def test_models__changed_to_the_same__no_event(call: Call) -> None:
    make_model()
    call(scientist(), "PATCH", "/models/flights", {"description": ""})
    assert not Event.objects.exists()


def test_versions__listed__pages_are_stable_and_newest_first(call: Call) -> None:
    for _ in range(5):
        make_version()
    actor = scientist()
    first = call(actor, "GET", "/models/flights/versions?page_size=3").json()
    assert [row["number"] for row in first["results"]] == [5, 4, 3]
    make_version()
    second = call(actor, "GET", "/models/flights/versions?" + first["next"].partition("?")[2])
    assert [row["number"] for row in second.json()["results"]] == [2, 1]


def test_versions__by_stage_and_number_and_label__found(call: Call) -> None:
    make_version(stage="production", semantic_version="1.0.0")
    make_version()
    rows = call(scientist(), "GET", "/models/flights/versions?stage=production").json()["results"]
    assert [row["version"] for row in rows] == ["flights/1"]
    for ref in ("1", "1.0.0"):
        read = call(scientist(), "GET", f"/models/flights/versions/{ref}").json()
        assert (read["number"], read["stage"], read["traffic"]) == (1, "production", "all")


@pytest.mark.parametrize(
    "path",
    [
        "/models/nope",
        "/models/nope/versions",
        "/models/flights/versions/9",
        "/models/flights/versions/9.9.9",
        f"/models/flights/versions/{'9' * 400}",
        "/models/flights/versions/²",
        "/validations/00000000-0000-0000-0000-000000000000",
        "/promotion-requests/00000000-0000-0000-0000-000000000000",
    ],
)
def test_anything__unknown__404_problem(call: Call, path: str) -> None:
    make_model()
    answer = call(scientist(), "GET", path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_versions__imported__202_until_it_is_ready(call: Call, mlflow_server: str) -> None:
    make_model()
    body = {"run_id": log_run(mlflow_server), "semantic_version": "1.0.0", "wait_s": 0}
    answer = call(scientist(), "POST", "/models/flights/versions", body)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending"), answer.json()
    for path in ("/validate", "/promotion-requests"):
        refused = call(scientist(), "POST", f"/models/flights/versions/1{path}", STAGING)
        assert (refused.status_code, refused.json()["title"]) == (409, "Version is not ready")
    refused = call(scientist(), "POST", "/models/flights/deploy", {"version": "1"})
    assert refused.json()["title"] == "Version is not ready", refused.json()
    taken_over(get_version("flights", "1"))
    polled = call(scientist(), "GET", answer["Location"].removeprefix("/api/v1")).json()
    assert (polled["status"], polled["version"], polled["traffic"]) == (
        "ready",
        "flights/1",
        "none",
    )
    assert polled["takeover"]["finished_at"]


@pytest.mark.django_db(transaction=True)
def test_versions__imported_with_a_worker__201(call: Call, mlflow_server: str) -> None:
    make_model()
    body, actor = {"run_id": log_run(mlflow_server), "label_map": {"0": "no"}}, scientist()
    with working():
        refused = call(actor, "POST", "/models/flights/versions", body)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.label_map")
        answer = call(actor, "POST", "/models/flights/versions", body | {"label_map": {}})
    assert (answer.status_code, answer.json()["version"]) == (201, "flights/2"), answer.json()


def test_versions__mlflow_away__503_problem(
    call: Call, configure: Configure, free_port: int
) -> None:
    configure(mlflow_tracking_uri=f"http://127.0.0.1:{free_port}")
    make_model()
    answer = call(scientist(), "POST", "/models/flights/versions", {"run_id": "any"})
    assert (answer.status_code, answer.json()["title"]) == (503, "MLflow is unavailable")
    assert not ModelVersion.objects.exists()


def test_validate__202_with_its_address(call: Call) -> None:
    make_version()
    answer = call(scientist(), "POST", "/models/flights/versions/1/validate")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    polled = call(scientist(), "GET", answer["Location"].removeprefix("/api/v1"))
    assert polled.json() == answer.json()
    listed = call(scientist(), "GET", "/models/flights/versions/1/validations").json()
    assert [row["id"] for row in listed["results"]] == [answer.json()["id"]]


def asked(call: Call) -> str:
    make_validation(make_version())
    path = "/models/flights/versions/1/promotion-requests"
    answer = call(scientist(), "POST", path, {"stage": "staging", "reason": "better"})
    assert answer.status_code == 201, answer.json()
    return f"/promotion-requests/{answer.json()['id']}"


def test_promotion__asked_and_approved__stage_and_history(call: Call) -> None:
    path = asked(call)
    waiting = call(approver(), "GET", "/promotion-requests?state=requested&model=flights").json()
    assert [row["version"] for row in waiting["results"]] == ["flights/1"]
    answer = call(approver(), "POST", f"{path}/approve", {"reason": "evidence read"})
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert call(scientist(), "GET", "/models/flights/versions/1").json()["stage"] == "staging"
    history = call(scientist(), "GET", "/models/flights/versions/1/transitions").json()["results"]
    assert [(row["to_stage"], row["actor_key"]) for row in history] == [("staging", "user:grace")]


def test_promotion__own_approval__403_and_event(call: Call) -> None:
    path = asked(call)
    answer = call(scientist(), "POST", f"{path}/approve", {"reason": "mine"})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:switchyard:problem:self-approval"
    assert Event.objects.filter(verb="promotion.approval_refused").count() == 1


def test_promotion__not_validated__409(call: Call) -> None:
    make_version()
    path = "/models/flights/versions/1/promotion-requests"
    answer = call(scientist(), "POST", path, {"stage": "staging", "reason": "better"})
    assert (answer.status_code, answer.json()["title"]) == (409, "Not validated")


@pytest.mark.parametrize(
    ("decision", "body"),
    [("approve", {}), ("reject", {"reason": ""}), ("withdraw", {"reason": "  "})],
)
def test_promotion__decided_without_a_reason__names_the_field(
    call: Call, decision: str, body: dict[str, str]
) -> None:
    answer = call(approver(), "POST", f"{asked(call)}/{decision}", body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "$.reason")


def test_promotion__withdrawn__closed(call: Call) -> None:
    path = asked(call)
    why = {"reason": "another came"}
    assert call(scientist(), "POST", f"{path}/withdraw", why).json()["state"] == "withdrawn"
    assert call(approver(), "POST", f"{path}/approve", why).status_code == 409
    assert call(approver(), "GET", path).json()["state"] == "withdrawn"


def test_stages__through_the_api__as_the_services_allow(call: Call) -> None:
    make_version(stage="production")
    operator, path = person("op", Role.OPERATOR), "/models/flights/versions/1"
    assert call(operator, "POST", f"{path}/archive", {"reason": "drill"}).status_code == 409
    for move, stage in (("deprecate", "deprecated"), ("reinstate", "production")):
        answer = call(operator, "POST", f"{path}/{move}", {"reason": "drill"})
        assert answer.json()["stage"] == stage
    (held,) = call(scientist(), "GET", "/models/flights/production").json()
    assert held["version"] == "flights/1"
    early = call(scientist(), "GET", "/models/flights/production?at=2020-01-01T00:00:00Z")
    assert early.json() == []
    bad = call(scientist(), "GET", "/models/flights/production?at=yesterday")
    assert bad.json()["errors"][0]["path"] == "$.at"


@pytest.mark.parametrize(
    ("path", "most"),
    [("/models", 7), ("/models/flights/versions", 8), ("/promotion-requests", 7)],
)
def test_lists__many_rows__as_many_queries_as_few(
    call: Call, path: str, most: int, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    asked(call)
    for number in range(20):
        make_model(f"model-{number}")
        make_version()
    actor = scientist()
    call(actor, "GET", path)
    with django_assert_max_num_queries(most):
        call(actor, "GET", path)
