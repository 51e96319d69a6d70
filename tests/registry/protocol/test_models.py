"""Models through MLflow's own client: what is asked for is what MLflow's server would do."""

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from apps.events.models import Event
from apps.registry.models import RegisteredModel


def refused(code: str, match: str = "") -> "pytest.RaisesExc[MlflowException]":
    """The client raises MLflow's exception with this error code."""
    return pytest.raises(MlflowException, match=f"{code}: .*{match}")


def test_model__created_described_and_tagged__client_reads_it_back(client: MlflowClient) -> None:
    made = client.create_registered_model("My_Model.v2 b", {"domain": "air", "n": 3}, "flights")
    client.set_registered_model_tag("My_Model.v2 b", "empty", "")
    client.set_registered_model_tag("My_Model.v2 b", "domain", "aviation")
    client.delete_registered_model_tag("My_Model.v2 b", "n")
    client.update_registered_model("My_Model.v2 b", "late?")
    found = client.get_registered_model("My_Model.v2 b")
    assert made.tags == {"domain": "air", "n": "3"}
    assert (found.description, found.tags) == ("late?", {"domain": "aviation", "empty": ""})
    assert found.creation_timestamp == made.creation_timestamp <= found.last_updated_timestamp
    assert found.latest_versions == []
    changed = Event.objects.filter(verb="model.tags_changed").order_by("id")
    assert [(one.before, one.after) for one in changed][1] == (
        {"tags": {"domain": "air"}},
        {"tags": {"domain": "aviation"}},
    )
