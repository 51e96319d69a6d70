"""Versions through MLflow's own client."""

import pytest
from mlflow import MlflowClient

from apps.events.models import Event
from apps.registry.models import ModelVersion
from tests.registry.factories import asked, make_model, make_version
from tests.registry.protocol.steps import PLACE, refused, register, take_in

pytestmark = [
    pytest.mark.django_db,
    # Stages are what MLflow gives up for aliases; its users still have them.
    pytest.mark.filterwarnings("ignore:.*deprecated since 2.9.0.*:FutureWarning"),
]


@pytest.fixture(autouse=True)
def flights(client: MlflowClient) -> None:
    client.create_registered_model("flights")


def test_version__registered__pending_until_its_artifact_is_here(client: MlflowClient) -> None:
    made = register(
        client,
        "flights",
        "runs:/abc/model",
        run_id="abc",
        tags={"squad": "p", "n": 3},
        run_link="https://mlflow/#/runs/abc",
        description="first",
    )
    assert (made.version, made.status, made.current_stage) == ("1", "PENDING_REGISTRATION", "None")
    assert (made.run_id, made.run_link) == ("abc", "https://mlflow/#/runs/abc")
    assert (made.tags, made.description) == ({"squad": "p", "n": "3"}, "first")
    assert client.get_model_version_download_uri("flights", "1") == "runs:/abc/model"
    with refused("RESOURCE_CONFLICT", "flights/1 has no artifact yet"):
        client.transition_model_version_stage("flights", "1", "Archived")
    take_in("flights", 1)
    found = client.get_model_version("flights", "1")
    assert (found.status, found.source) == ("READY", "runs:/abc/model")
    assert client.get_registered_model("flights").latest_versions == [found]
    assert client.search_model_versions("run_id = 'abc'") == [found]
    assert Event.objects.filter(object_key="version:flights/1").exists()


def test_version__described_and_tagged__events_keep_what_was(client: MlflowClient) -> None:
    first = register(client, "flights")
    model = client.get_registered_model("flights")
    client.update_model_version("flights", "1", "February")
    client.set_model_version_tag("flights", "1", "squad", "")
    client.set_model_version_tag("flights", "1", "squad", "p")
    client.set_model_version_tag("flights", "1", "n", "3")
    client.delete_model_version_tag("flights", "1", "n")
    found = client.get_model_version("flights", "1")
    assert (found.description, found.tags) == ("February", {"squad": "p"})
    assert (found.last_updated_timestamp or 0) > (first.last_updated_timestamp or 0)
    assert client.get_registered_model("flights").last_updated_timestamp == (
        model.last_updated_timestamp
    )
    verbs = Event.objects.for_object("version:flights/1").values_list("verb", flat=True)
    assert sorted(set(verbs)) == ["version.registered", "version.tags_changed", "version.updated"]
    with refused("INVALID_PARAMETER_VALUE", "Parameter 'version' must be an integer, got 'x'"):
        client.get_model_version("flights", "x")


@pytest.mark.parametrize(
    ("source", "run_id", "why"),
    [
        ("/tmp/model", None, "taken over from MLflow's server"),  # noqa: S108
        ("file:///etc", None, "taken over from MLflow's server"),
        ("s3://bucket/model", None, "taken over from MLflow's server"),
        ("https://example.org/model", None, "taken over from MLflow's server"),
        ("mlflow-artifacts:/1/..%252f..%252fsecret", None, "Relative path"),
        ("runs:/abc/model", "def", "has to be that of the source"),
        ("runs:/abc", None, "has to look like"),
        ("", None, "Missing value for required parameter 'source'"),
    ],
)
def test_source__that_cannot_be_taken_over__refused(
    client: MlflowClient, source: str, run_id: str | None, why: str
) -> None:
    with refused("INVALID_PARAMETER_VALUE", why):
        register(client, "flights", source, run_id=run_id)
    assert not ModelVersion.objects.exists()


def test_version__copied__reads_the_same_artifact(client: MlflowClient) -> None:
    register(client, "flights", PLACE, description="d", tags={"hello": "world"})
    client.set_registered_model_alias("flights", "candidate", "1")
    for version in ModelVersion.objects.all():
        take_in("flights", version.number)
    client.create_registered_model("arrivals")
    copied = register(client, "arrivals", "models:/flights/1")
    assert (copied.name, copied.version, copied.source) == ("arrivals", "1", "models:/flights/1")
    assert client.get_model_version_download_uri("arrivals", "1") == PLACE
    by_alias = register(client, "arrivals", "models:/flights@candidate")
    assert by_alias.source == "models:/flights/1"
    with refused("RESOURCE_DOES_NOT_EXIST", "version=9"):
        register(client, "arrivals", "models:/flights/9")


def test_version__deleted__gone_with_its_aliases_and_its_number(client: MlflowClient) -> None:
    for _ in range(2):
        register(client, "flights")
    client.set_registered_model_alias("flights", "candidate", "2")
    client.delete_model_version("flights", "2")
    assert client.get_registered_model("flights").aliases == {}
    assert [one.version for one in client.search_model_versions("name = 'flights'")] == ["1"]
    for call in (client.delete_model_version, client.get_model_version):
        with refused("RESOURCE_DOES_NOT_EXIST", r"Model Version \(name=flights, version=2\)"):
            call("flights", "2")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.update_model_version("flights", "2", "x")
    assert register(client, "flights").version == "3"
    deleted = Event.objects.get(verb="version.deleted")
    assert deleted.before is not None
    assert deleted.before["source"] == PLACE


def test_version__approved_or_being_decided__is_not_deleted(client: MlflowClient) -> None:
    model = make_model("trains")
    make_version(model=model, stage="staging")
    make_version(model=model)
    with refused("RESOURCE_CONFLICT", "trains/1 is in staging: archive it"):
        client.delete_model_version("trains", "1")
    asked()
    with refused("RESOURCE_CONFLICT", "withdraw the request first"):
        client.delete_model_version("flights", "1")


def test_latest_versions__per_stage__newest_of_each(client: MlflowClient) -> None:
    model = make_model("trains")
    stages = ["archived", "production", "deprecated", "staging", "staging", "dev"]
    for stage in stages:
        make_version(model=model, stage=stage)

    def latest(*wanted: str) -> dict[str, str]:
        found = client.get_latest_versions("trains", list(wanted) or None)
        return {one.current_stage: one.version for one in found}

    everything = {"Archived": "3", "Production": "2", "Staging": "5", "None": "6"}
    assert latest() == everything
    assert latest("none", "Staging") == {"None": "6", "Staging": "5"}
    told = client.search_registered_models("name = 'trains'")[0].latest_versions
    assert {one.current_stage: one.version for one in told} == everything
    with refused("INVALID_PARAMETER_VALUE", "Value must be one of None, Staging"):
        latest("Nowhere")
