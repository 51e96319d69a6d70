"""Models through MLflow's own client: what MLflow's server would do, and what is more careful."""

import pytest
from mlflow import MlflowClient

from apps.accounts.access import Role
from apps.events.models import Event
from apps.registry.models import ModelVersion, RegisteredModel
from tests.registry.factories import make_model, make_user, make_version
from tests.registry.protocol.conftest import Clients
from tests.registry.protocol.steps import refused, register
from tests.routing.factories import make_endpoint

pytestmark = pytest.mark.django_db


def test_model__created_described_and_tagged__client_reads_it_back(client: MlflowClient) -> None:
    made = client.create_registered_model("My_Model.v2 b", {"domain": "air", "n": 3}, "flights")
    client.set_registered_model_tag(made.name, "empty", "")
    client.set_registered_model_tag(made.name, "domain", "aviation")
    client.delete_registered_model_tag(made.name, "n")
    client.update_registered_model(made.name, "late?")
    found = client.get_registered_model(made.name)
    assert made.tags == {"domain": "air", "n": "3"}
    assert (found.description, found.tags) == ("late?", {"domain": "aviation", "empty": ""})
    assert made.creation_timestamp == found.creation_timestamp < found.last_updated_timestamp
    assert found.latest_versions == []
    assert client.search_registered_models("name = 'My_Model.v2 b'")[0] == found
    changed = Event.objects.filter(verb="model.tags_changed").order_by("id")
    assert changed[1].before == {"tags": {"domain": "air"}}
    assert changed[1].after == {"tags": {"domain": "aviation"}}


def test_model__named_twice_or_badly__told_in_mlflows_words(client: MlflowClient) -> None:
    client.create_registered_model("flights")
    with refused("RESOURCE_ALREADY_EXISTS", r"Registered Model \(name=flights\) already exists"):
        client.create_registered_model("flights")
    for name in ("a/b", "a:b", " a", "a.", "..", "ä", "x" * 101):
        with refused("INVALID_PARAMETER_VALUE", "a model's name has 1 to 100 letters"):
            client.create_registered_model(name)
    with refused("INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"):
        client.create_registered_model("")
    with refused("RESOURCE_DOES_NOT_EXIST", "Registered Model with name=none not found"):
        client.get_registered_model("none")
    with refused("INVALID_PARAMETER_VALUE", "Prompts are not kept"):
        client.set_registered_model_tag("flights", "mlflow.prompt.is_prompt", "true")
    with refused("INVALID_PARAMETER_VALUE", "250 characters"):
        client.set_registered_model_tag("flights", "k" * 251, "v")


def test_model__renamed__found_with_its_history_under_the_new_name(client: MlflowClient) -> None:
    client.create_registered_model("flights", description="late?")
    register(client, "flights")
    renamed = client.rename_registered_model("flights", "arrivals") or client.get_registered_model(
        "arrivals"
    )
    assert (renamed.description, renamed.latest_versions[0].name) == ("late?", "arrivals")
    with refused("RESOURCE_DOES_NOT_EXIST", "name=flights not found"):
        client.get_registered_model("flights")
    model = RegisteredModel.objects.get(name="arrivals")
    verbs = [one.verb for one in Event.objects.timeline(model.keys)]
    assert verbs == ["model.renamed", "model.renamed", "model.registered"]
    client.create_registered_model("flights")
    assert register(client, "flights").version == "2"  # "flights/1" was another artifact
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.rename_registered_model("arrivals", "flights")
    client.rename_registered_model("arrivals", "arrivals 2")


def test_model__once_approved__neither_renamed_nor_deleted_nor_its_name_reused(
    client: MlflowClient,
) -> None:
    version = make_version(model=make_model("flights"), stage="production")
    with refused("RESOURCE_CONFLICT", "v1 is in production: archive it first"):
        client.delete_registered_model("flights")
    _settle(version)
    with refused("RESOURCE_CONFLICT", "a version of it was approved"):
        client.rename_registered_model("flights", "arrivals")
    client.delete_registered_model("flights")
    with refused("RESOURCE_ALREADY_EXISTS", "history of another keeps it"):
        client.create_registered_model("flights")


def _settle(version: ModelVersion) -> None:
    """It was in production, and is archived by now."""
    for before, after in (("staging", "production"), ("deprecated", "archived")):
        version.transitions.create(
            from_stage=before,
            to_stage=after,
            digest=version.artifact_digest,
            actor_key="user:grace",
            occurred_at=version.created_at,
        )
    ModelVersion.objects.filter(pk=version.pk).update(stage="archived", allowance="none")


def test_model__deleted_before_any_approval__its_name_is_free_and_numbers_go_on(
    client: MlflowClient,
) -> None:
    client.create_registered_model("flights")
    register(client, "flights")
    client.set_registered_model_alias("flights", "candidate", "1")
    client.delete_registered_model("flights")
    assert list(client.search_registered_models()) == []
    assert list(client.search_model_versions("name = 'flights'")) == []
    for call in (client.get_registered_model, client.delete_registered_model):
        with refused("RESOURCE_DOES_NOT_EXIST", "Registered Model with name=flights not found"):
            call("flights")
    again = client.create_registered_model("flights")
    assert (again.aliases, register(client, "flights").version) == ({}, "2")
    assert ModelVersion.with_deleted.filter(number=1, deleted_at__isnull=False).exists()
    assert Event.objects.filter(verb="model.deleted", before__versions=1).exists()


def test_model__with_an_endpoint__stays_what_it_is_called(client: MlflowClient) -> None:
    make_model("flights")
    make_endpoint("late")
    with refused("RESOURCE_CONFLICT", "cannot be renamed: endpoint late serves it"):
        client.rename_registered_model("flights", "arrivals")
    with refused("RESOURCE_CONFLICT", "cannot be deleted: endpoint late serves it"):
        client.delete_registered_model("flights")


def test_alias__set_moved_and_deleted__model_and_versions_tell(client: MlflowClient) -> None:
    client.create_registered_model("flights")
    for _ in range(2):
        register(client, "flights")
    client.set_registered_model_alias("flights", "candidate", "1")
    client.set_registered_model_alias("flights", "candidate", "2")
    client.set_registered_model_alias("flights", "other", "2")
    assert client.get_registered_model("flights").aliases == {"candidate": "2", "other": "2"}
    assert client.get_model_version("flights", "2").aliases == ["candidate", "other"]
    assert client.get_model_version_by_alias("flights", "candidate").version == "2"
    client.delete_registered_model_alias("flights", "candidate")
    client.delete_registered_model_alias("flights", "candidate")
    with refused("INVALID_PARAMETER_VALUE", "Registered model alias candidate not found"):
        client.get_model_version_by_alias("flights", "candidate")
    with refused("RESOURCE_DOES_NOT_EXIST", r"Model Version \(name=flights, version=9\) not found"):
        client.set_registered_model_alias("flights", "candidate", "9")
    for alias in ("Latest", "V1"):
        with refused("INVALID_PARAMETER_VALUE", "is reserved"):
            client.set_registered_model_alias("flights", alias, "1")
    moved = Event.objects.filter(verb="model.alias_set", after__alias="candidate").order_by("id")
    assert list(moved.values_list("before__version", flat=True)) == [None, 1]


def test_team__of_somebody_in_several__said_by_a_tag(client_of: Clients) -> None:
    eve = make_user("eve", Role.SCIENTIST, team="a")
    client = client_of(make_user("eve", Role.SCIENTIST, team="b"))
    with refused("INVALID_PARAMETER_VALUE", "tag 'switchyard.team', one of a, b"):
        client.create_registered_model("flights")
    made = client.create_registered_model("flights", {"switchyard.team": "b"})
    assert (made.tags, RegisteredModel.objects.get().team.key) == ({}, "b")
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model("flights")
    assert RegisteredModel.objects.get().owner == eve


def test_rights__of_others__asked_by_the_services(client_of: Clients) -> None:
    make_version(model=make_model("flights"))
    reader = client_of(make_user("rob", Role.READ_ONLY))
    assert reader.get_model_version("flights", "1").version == "1"
    with refused("PERMISSION_DENIED", "may not register"):
        reader.set_registered_model_tag("flights", "a", "b")
    stranger = client_of(make_user("eve", Role.SCIENTIST, team="other"))
    with refused("PERMISSION_DENIED", "may not register in team ops"):
        stranger.set_model_version_tag("flights", "1", "a", "b")
    nobody = client_of(make_user("joe"))
    with refused("PERMISSION_DENIED", "may not view"):
        nobody.get_registered_model("flights")


def test_call__without_a_token_or_not_of_the_registry__clear_answer(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused("ENDPOINT_NOT_FOUND", "Point MLFLOW_TRACKING_URI at the MLflow server"):
        client.create_run("0")
    with refused("ENDPOINT_NOT_FOUND", "/api/v1/webhooks"):
        client.list_webhooks()
    assert list(client.search_prompts()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "swy_wrong")
    with refused("UNAUTHENTICATED", "unknown, expired or revoked"):
        client.get_registered_model("flights")
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    with refused("UNAUTHENTICATED", "send a bearer token"):
        client.get_registered_model("flights")
