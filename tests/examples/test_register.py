import json
from pathlib import Path

import pytest

from apps.registry import services
from examples.flights.data import FEATURES
from examples.flights.models import LABEL_MAP, TrainedModel
from examples.flights.register import MODEL_NAME, git_commit, register
from tests.registry.factories import make_model, scientist
from tests.registry.takeovers import imported

# mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
pytestmark = pytest.mark.filterwarnings("ignore:::mlflow")


def test_register__a_trained_model__stands_in_mlflow_with_its_lineage(
    models: dict[str, TrainedModel], mlflow_server: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.models import get_model_info

    done = register(models["v1"], tracking_uri=mlflow_server, commit=git_commit())
    client = MlflowClient(mlflow_server)
    run = client.get_run(done.run_id)
    assert client.get_model_version(MODEL_NAME, done.mlflow_version).run_id == done.run_id
    assert run.data.tags["data_digest"] == models["v1"].data_digest
    assert run.data.tags["mlflow.source.git.commit"] == git_commit()
    assert json.loads(run.data.tags["label_map"]) == {"0": "on time", "1": "delayed"}
    assert run.inputs is not None
    (dataset,) = (entry.dataset for entry in run.inputs.dataset_inputs)
    assert models["v1"].data_digest.startswith(f"sha256:{dataset.digest}")
    assert run.data.metrics["accuracy"] == pytest.approx(models["v1"].metrics["accuracy"])
    signature = get_model_info(f"runs:/{done.run_id}/model").signature
    assert signature.inputs.input_names() == list(FEATURES)
    place = download_artifacts(f"runs:/{done.run_id}/model", dst_path=str(tmp_path))
    assert (Path(place) / "model.onnx").read_bytes()
    assert (Path(place) / "input_example.json").exists()


def test_register__the_second_version__gets_the_next_number(
    models: dict[str, TrainedModel], mlflow_server: str
) -> None:
    first = register(models["v2"], tracking_uri=mlflow_server, commit="unknown")
    second = register(models["v3"], tracking_uri=mlflow_server, commit="unknown")
    assert int(second.mlflow_version) == int(first.mlflow_version) + 1


@pytest.mark.django_db(transaction=True)
def test_registry__imports_and_validates_all_versions__none_fails(
    models: dict[str, TrainedModel], mlflow_server: str
) -> None:
    """None fails its validation: that is the trap of v3 and v4."""
    owner = make_model(MODEL_NAME)
    for model in models.values():
        done = register(model, tracking_uri=mlflow_server, commit="abc123")
        version = imported(
            model=owner,
            mlflow_name=MODEL_NAME,
            mlflow_version=done.mlflow_version,
        )
        assert version.background_rows == 100
        assert version.label_map == LABEL_MAP
        assert version.decision_threshold == model.threshold
        assert version.data_lineage["digest"] == model.data_digest
        assert version.code_lineage["commit"] == "abc123"
        started = services.start_validation(actor=scientist(), version=version)
        services.run_validation(validation_id=started.pk)
        started.refresh_from_db()
        assert started.state == "passed", started.checks
