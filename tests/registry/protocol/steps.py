"""What several of these tests do."""

from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as Told
from mlflow.exceptions import MlflowException

from apps.registry.models import ModelVersion, VersionStatus
from tests.registry.factories import EXAMPLE, INPUT_SCHEMA, OUTPUT_SCHEMA, SIGNATURE

PLACE = "mlflow-artifacts:/1/models/m-0/artifacts"


def refused(code: str, match: str = "") -> Any:
    """A context in which the client raises MLflow's exception with this error code."""
    return pytest.raises(MlflowException, match=f"^{code}: .*{match}")


def register(client: MlflowClient, name: str, source: str = PLACE, **more: Any) -> Told:
    """A version that nobody waits for."""
    return client.create_model_version(name, source, await_creation_for=0, **more)


def take_in(name: str, number: int) -> ModelVersion:
    """The version as it is when a worker has taken its artifact over."""
    version = ModelVersion.objects.select_related("model__team").get(
        model__name=name, number=number
    )
    version.status, version.status_detail = VersionStatus.READY.value, ""
    version.artifact_digest, version.framework = "0" * 64, "onnx"
    version.signature, version.example = SIGNATURE, EXAMPLE
    version.input_schema, version.output_schema = INPUT_SCHEMA, OUTPUT_SCHEMA
    version.save()
    return version
