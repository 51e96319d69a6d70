"""The plugin of `mlflow deployments`: names, options, and what it says to the REST API."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.utils import timezone
from mlflow.exceptions import MlflowException
from mlflow_switchyard import Refused, SwitchyardClient, run_local, target_help
from mlflow_switchyard.client import _rows
from mlflow_switchyard.naming import Name, Options, Source
from pytest_django.live_server_helper import LiveServer

from apps.accounts.access import Role
from apps.deployments.models import Deployment, Target
from tests.accounts import factories as people
from tests.routing.factories import deployed, make_endpoint, operator, route, stable


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("models:/flights/2", Source(model="flights", version="2")),
        ("models:/flights/2.0.1", Source(model="flights", version="2.0.1")),
        ("models:/flights@champion", Source(model="flights", alias="champion")),
        ("runs:/abc123/model", Source(run="abc123")),
    ],
)
def test_model_uri__each_form__is_read(uri: str, source: Source) -> None:
    assert Source.parse(uri) == source


@pytest.mark.parametrize("uri", ["", "flights", "models:/flights", "s3://bucket/model", "/home/m"])
def test_model_uri__not_of_the_registry__is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="registry"):
        Source.parse(uri)


def test_name__model_and_number__there_and_back() -> None:
    assert Name.parse("late-v2-v13") == Name("late-v2", 13)
    assert str(Name("flights", 3)) == "flights-v3"
    for wrong in ("flights", "flights-3", "flights-v0", "Flights-v1", "", None):
        with pytest.raises(Refused, match="MODEL-vNUMBER"):
            Name.parse(wrong)


def test_options__given__are_checked_and_sent() -> None:
    given = {"replicas": "3", "instance_type": "gpu", "traffic_percentage": "0", "wait_s": "1.5"}
    options = Options.parse(given)
    assert options.body() == {"replicas": 3, "instance_type": "gpu", "traffic_percentage": 0}
    assert (options.wait_s, Options.parse(None).body()) == (1.5, {})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"replica": "3"}, "unknown option replica"),
        ({"replicas": "three"}, "replicas is a whole number"),
        ({"wait_s": "soon"}, "wait_s is a number"),
    ],
)
def test_options__that_make_no_sense__are_refused_by_name(
    config: dict[str, str], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        Options.parse(config)


def test_rows__of_a_frame__plain_values_and_gaps_left_out() -> None:
    frame = pd.DataFrame({"a": np.array([1, 2]), "b": [0.5, None], "c": ["x", None]})
    assert _rows(frame) == [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2}]
    assert type(_rows(frame)[0]["a"]) is int


def test_plugin__what_mlflow_looks_for__is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "-C replicas=3" in target_help()
    with pytest.raises(Refused):
        run_local("switchyard", "x", "models:/x/1")
    for name in ("SWITCHYARD_URL", "MLFLOW_TRACKING_TOKEN", "SWITCHYARD_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MlflowException, match="SWITCHYARD_URL"):
        SwitchyardClient("switchyard").list_deployments()
    with pytest.raises(MlflowException, match="SWITCHYARD_GATEWAY_URL"):
        SwitchyardClient("switchyard").predict("flights-v1", [{"a": 1}])


def test_plugin__nobody_answers__one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "swy_none")
    monkeypatch.setattr("mlflow_switchyard.rest.TRIES", 1)
    with pytest.raises(Refused, match="does not answer") as refused:
        SwitchyardClient("switchyard:http://127.0.0.1:1").list_endpoints()
    assert refused.value.status is None


@pytest.mark.django_db(transaction=True)
def test_plugin__on_the_platform__says_what_the_platform_says(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = people.bearer(Role.OPERATOR, team_key="ops")["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    monkeypatch.setenv("SWITCHYARD_URL", live_server.url)
    client = SwitchyardClient("switchyard")
    served, spare = deployed(1), deployed(2)
    route(make_endpoint(), stable(served))
    rows = {version.number: _deployment(version) for version in (served, spare)}
    assert {one["name"] for one in client.list_deployments()} == {"flights-v1", "flights-v2"}
    assert {one["name"] for one in client.list_deployments(endpoint="flights")} == {
        "flights-v1",
        "flights-v2",
    }
    assert client.get_deployment("flights-v2")["id"] == str(rows[2].pk)
    refusals: list[tuple[str, Any]] = [
        ("not deployed", lambda: client.get_deployment("flights-v9")),
        ("deployed already", lambda: client.create_deployment("flights-v1", "models:/flights/1")),
        ("is called flights-v1", lambda: client.create_deployment("other", "models:/flights/1")),
        ("has no version '9'", lambda: client.create_deployment("flights-v9", "models:/flights/9")),
        ("0 versions of flights", lambda: client.create_deployment("flights-v9", "runs:/ab/m")),
        ("still needed by the routing", lambda: client.delete_deployment("flights-v1")),
        ("replicas", lambda: client.update_deployment("flights-v2", config={"replicas": "999"})),
        ("no endpoint", lambda: client.get_endpoint("other")),
        ("kept with its history", lambda: client.delete_endpoint("flights")),
    ]
    for said, call in refusals:
        with pytest.raises(Refused, match=said):
            call()
    client.delete_deployment("flights-v9")  # what is not there is gone already
    client.delete_deployment("flights-v2", config={"wait_s": "0", "reason": "not needed"})
    assert Deployment.objects.get(pk=rows[2].pk).state == "removing"
    assert client.create_endpoint("late", {"model": "flights"})["name"] == "late"
    client.update_endpoint("late", {"sample_rate": "0.5"})
    assert client.get_endpoint("late")["sample_rate"] == 0.5
    assert {one["name"] for one in client.list_endpoints()} == {"flights", "late"}


def _deployment(version: Any) -> Deployment:
    target, _ = Target.objects.get_or_create(name="here")
    return Deployment.objects.create(
        version=version,
        target=target,
        state="healthy",
        entry=f"flights-v{version.number}",
        endpoint_name="flights",
        created_by=operator().key,
        state_entered_at=timezone.now(),
    )
