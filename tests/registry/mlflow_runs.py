"""Runs in a real MLflow server, logged by MLflow's own client."""

import os
from pathlib import Path
from typing import Any

from tests.registry.factories import EXAMPLE
from tests.registry.onnx_models import late_model

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

TAGS = {
    "data_digest": "sha256:1234",
    "mlflow.source.git.commit": "c0ffee",
    "label_map": '{"0": "on time", "1": "delayed"}',
    "decision_threshold": "0.3",
    "trained_at": "2026-01-02T03:04:05+00:00",
    "squad": "punctuality",
}


def log_run(
    uri: str,
    *,
    artifact: bytes | None = None,
    columns: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    example: list[dict[str, Any]] | None = None,
    registered_name: str | None = None,
    metadata: dict[str, Any] | None = None,
    extra_files: list[str] | None = None,
) -> str:
    """Log an ONNX model as a training script does; the run's id.

    `columns` maps names to MLflow's types; by default those of `late_model`. `extra_files` are
    paths of what is logged with it.
    """
    import mlflow
    import mlflow.onnx
    import onnx
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    kinds = columns or {"carrier": "string", "distance": "double", "wind": "double"}
    inputs = Schema([ColSpec(kind, name) for name, kind in kinds.items()])
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment("registry-tests")
    with mlflow.start_run() as run:
        mlflow.log_metrics({"accuracy": 0.8, "auc": 0.7})
        mlflow.log_params({"trees": 80})
        mlflow.set_tags(TAGS if tags is None else tags)
        mlflow.onnx.log_model(
            onnx.load_from_string(late_model() if artifact is None else artifact),
            name="model",
            signature=ModelSignature(inputs=inputs),
            input_example=pd.DataFrame(EXAMPLE if example is None else example),
            pip_requirements=["onnxruntime"],
            save_as_external_data=False,
            registered_model_name=registered_name,
            metadata=metadata,
            extra_files=extra_files,
        )
    return str(run.info.run_id)


def log_files(uri: str, files: dict[str, str]) -> str:
    """A run that holds these text files under "model"; its id."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("registry-files")
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment("registry-files")
    )
    run_id = str(client.create_run(experiment_id).info.run_id)
    for name, text in files.items():
        client.log_text(run_id, text, f"model/{name}")
    return run_id


def log_folder(uri: str, folder: Path) -> str:
    """A run that holds what lies in the folder under "model"; its id."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("registry-files")
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment("registry-files")
    )
    run_id = str(client.create_run(experiment_id).info.run_id)
    client.log_artifacts(run_id, str(folder), "model")
    return run_id
