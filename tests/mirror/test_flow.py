"""The whole way with MLflow's own server: in, changed behind our back, back again."""

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from mlflow import MlflowClient

from apps.accounts.access import Role
from apps.events.models import Event
from apps.mirror import services as mirrors
from apps.mirror import subscribers
from apps.mirror.calls import connect
from apps.mirror.models import Difference, Mirror, MirroredModel, MirroredVersion
from apps.registry import services as registry
from apps.registry.models import ModelVersion, RegisteredModel, Takeover
from apps.registry.selectors import get_version
from embedded.private import PrivateServices
from tests.accounts import factories as accounts
from tests.conftest import Configure
from tests.mirror.factories import make_mirror
from tests.registry.factories import (
    approver,
    asked,
    make_user,
    make_validation,
    scientist,
)
from tests.registry.mlflow_runs import log_run

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:::mlflow", "ignore:::pandas", "ignore:::onnx"),
]
NAME = "late-flights"
# Not the address of the settings: every connection is judged.
ANOTHER = "http://localhost:"
WHY = {"reason": "nobody approved that"}


@pytest.fixture
def there(mlflow_server: str, configure: Configure) -> MlflowClient:
    """MLflow with a model of two versions; contents are read again at every full sweep."""
    place = f"localhost:{urlsplit(mlflow_server).port}"
    configure(mirror_verify_s=0.0, outbound_allow=place)
    client = MlflowClient(mlflow_server, mlflow_server)
    if not client.search_registered_models(f"name = '{NAME}'"):
        run_id = log_run(mlflow_server, registered_name=NAME)
        source = str(client.get_model_version(NAME, "1").source)
        logged = source.removeprefix("models:/")
        client.create_model_version(NAME, source, run_id, model_id=logged)
    client.update_registered_model(NAME, "late or not")
    client.set_registered_model_alias(NAME, "tested", "1")
    return client


def sweep(mirror: Mirror, *, full: bool = True) -> None:
    """A sweep, whatever the schedule says; what it registers is taken over."""
    changed = {"fully_swept_at": None} if full else {}
    Mirror.objects.filter(pk=mirror.pk).update(due_at=mirror.created_at, **changed)
    assert mirrors.sweep(mirror_id=mirror.pk), Mirror.objects.get(pk=mirror.pk).error
    for takeover in Takeover.objects.open():
        registry.take_over(takeover_id=takeover.pk)


def write(mirror: Mirror) -> bool:
    """What the log tells, written back, whatever the back-off says."""
    for event in Event.objects.filter(verb__in=subscribers.VERBS):
        subscribers.owe(event)
    Mirror.objects.filter(pk=mirror.pk).update(write_due_at=mirror.created_at)
    return mirrors.write_back(mirror_id=mirror.pk)


def promote(version: ModelVersion) -> None:
    """To production, by two people."""
    make_validation(version)
    for _ in range(2):
        registry.approve(actor=approver(), request=asked(get_version(NAME, str(version.number))))


def opened() -> dict[tuple[str, str], Difference]:
    return {(row.kind, row.subject): row for row in Difference.objects.open()}


def decide(client: Client, difference: Difference, word: str) -> dict[str, Any]:
    """By REST, as a scientist."""
    headers = {"Authorization": f"Bearer {accounts.token(make_user('ada', Role.SCIENTIST))[1]}"}
    address = f"/api/v1/mirror-differences/{difference.pk}/{word}"
    answer = client.post(address, WHY, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.proof
def test_mirror__mlflows_own_server__in_and_changed_and_put_back(
    there: MlflowClient, mlflow_server: str, client: Client
) -> None:
    port = urlsplit(mlflow_server).port
    mirror = make_mirror(pattern="late-*", tracking_uri=f"{ANOTHER}{port}")
    scientist()
    sweep(mirror)
    model = RegisteredModel.objects.get(name=NAME)
    first, second = model.versions.order_by("number")
    assert (model.description, first.status, second.status) == ("late or not", "ready", "ready")
    assert model.aliases.get().version == first
    sweep(mirror)
    assert opened() == {}

    # A decision goes back, and is no edit behind our back.
    promote(first)
    assert write(mirror)
    tags = there.get_model_version(NAME, "1").tags
    assert (tags["switchyard.stage"], tags["switchyard.approved_by"]) == (
        "production",
        "user:grace",
    )
    assert there.get_model_version_by_alias(NAME, "champion").version == "1"
    sweep(mirror)
    assert opened() == {}

    # What is done there without a decision changes nothing here, and is put back.
    there.set_registered_model_alias(NAME, "champion", "2")
    there.set_model_version_tag(NAME, "1", "switchyard.stage", "dev")
    sweep(mirror, full=False)
    moved = opened()["alias_moved", "champion"]
    assert (moved.was, moved.found) == ({"version": "1"}, {"version": "2"})
    assert model.aliases.get(name="champion").version == first
    assert decide(client, moved, "revert")["state"] == "reverted"
    assert there.get_model_version_by_alias(NAME, "champion").version == "1"
    sweep(mirror)
    tagged = opened()["tags_changed", "1"]
    decide(client, tagged, "revert")
    assert there.get_model_version(NAME, "1").tags["switchyard.stage"] == "production"

    # Content: what was taken over is what is put back.
    with connect(mirror) as calls:
        calls.put(calls.place(NAME, 1), "model.onnx", BytesIO(b"something else"))
    sweep(mirror)
    changed = opened()["artifact_changed", "1"]
    decide(client, changed, "revert")
    sweep(mirror)
    assert opened() == {}

    # A deleted version stays here, and comes back under the next number.
    there.delete_model_version(NAME, "2")
    sweep(mirror, full=False)
    sweep(mirror)
    deleted = opened()["version_deleted", "2"]
    assert get_version(NAME, "2").status == "ready"
    decide(client, deleted, "revert")
    back = MirroredVersion.objects.get(version=second)
    assert there.get_model_version(NAME, str(back.number)).run_id == back.run_id
    sweep(mirror)
    assert opened() == {}
    assert model.versions.count() == 2
    assert MirroredModel.objects.get().problem == ""


@pytest.mark.proof
def test_write_back__mlflow_stopped_and_started__told_in_the_end(
    there: MlflowClient, services: PrivateServices
) -> None:
    mirror = make_mirror(pattern="late-*")
    scientist()
    sweep(mirror)
    version = ModelVersion.objects.earliest("number")
    server = next(one for one in services.running if one.process.name == "mlflow")
    server.stop()
    promote(version)
    assert not write(mirror)
    row = MirroredModel.objects.get()
    assert row.unwritten_at is not None
    waiting = Mirror.objects.get()
    assert (waiting.write_failures, waiting.failures) == (1, 0)
    assert waiting.write_due_at > mirror.created_at
    services.running.remove(server)
    services.start_mlflow()
    assert write(mirror)
    assert MirroredModel.objects.get().unwritten_at is None
    number = MirroredVersion.objects.get(version=version).number
    assert there.get_model_version_by_alias(row.name, "champion").version == str(number)
