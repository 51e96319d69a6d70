"""A training script, MLflow's server, our registry and a worker: nothing is told of the others."""

import mlflow
import pytest
from mlflow import MlflowClient

from apps.registry.models import Takeover
from apps.registry.services import take_over
from tests.registry.mlflow_runs import log_run

# mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
pytestmark = pytest.mark.filterwarnings("ignore:::mlflow", "ignore:::pandas")


def test_register_and_load__with_two_addresses_and_a_token__mlflow_works_unchanged(
    client: MlflowClient, mlflow_server: str, web: str
) -> None:
    run_id = log_run(mlflow_server)
    mlflow.set_registry_uri(web)
    made = mlflow.register_model(
        f"runs:/{run_id}/model", "My_Model v2", await_registration_for=None, tags={"a": "b"}
    )
    assert (made.version, made.status) == ("1", "PENDING_REGISTRATION")
    take_over(takeover_id=Takeover.objects.get().pk)
    ready = client.get_model_version("My_Model v2", "1")
    assert (ready.status, ready.status_message) == ("READY", None)
    client.set_registered_model_alias("My_Model v2", "candidate", "1")
    for uri in ("models:/My_Model v2/1", "models:/My_Model v2@candidate"):
        assert mlflow.pyfunc.load_model(uri).metadata.run_id == run_id
    copied = client.copy_model_version("models:/My_Model v2@candidate", "copy")
    assert copied.source == "models:/My_Model v2/1"
