"""Importing versions from a real MLflow server into a real store."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from onnx import TensorProto

from apps.accounts.errors import PermissionDenied
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.registry import services
from apps.registry.artifacts import ArtifactStore
from apps.registry.errors import (
    AlreadyExists,
    Invalid,
    MlflowUnavailable,
    SchemaMismatch,
    SourceNotFound,
    TakeoverFailed,
    UnreadableArtifact,
)
from apps.registry.models import ModelVersion
from apps.registry.selectors import get_version
from tests.conftest import Configure
from tests.registry.factories import EXAMPLE, approver, make_model, make_version, scientist
from tests.registry.mlflow_runs import log_files, log_run
from tests.registry.onnx_models import identity_model
from tests.registry.takeovers import imported, taken_over

pytestmark = [
    pytest.mark.django_db,
    # mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
    pytest.mark.filterwarnings("ignore:::mlflow"),
]


@pytest.fixture(scope="session")
def run_id(mlflow_server: str) -> str:
    """A run with a good model."""
    return log_run(mlflow_server)


def stored(version: ModelVersion) -> bytes:
    store, file = ArtifactStore.configured(), io.BytesIO()
    store.download(store.key(version.artifact_uri), file)
    return file.getvalue()


def test_import__of_a_run__has_everything_that_was_logged(run_id: str) -> None:
    version = imported(run_id=run_id, semantic_version="1.0.0")
    version = get_version("flights", "1.0.0")
    assert version.version_key == "flights/1"
    assert (version.framework, version.run_id, version.stage) == ("onnx", run_id, "dev")
    assert version.metrics == {"accuracy": 0.8, "auc": 0.7}
    assert version.parameters == {"trees": "80"}
    assert version.label_map == {"0": "on time", "1": "delayed"}
    assert version.decision_threshold == 0.3
    assert version.trained_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert version.data_lineage["digest"] == "sha256:1234"
    assert version.code_lineage["commit"] == "c0ffee"
    assert version.tags["squad"] == "punctuality"
    assert version.example == EXAMPLE
    assert (version.created_by, version.author) == ("user:ada", "user:ada")


def test_import__of_a_run__artifact_in_our_store_has_the_registered_digest(run_id: str) -> None:
    version = imported(run_id=run_id)
    bucket = settings.CONFIG.s3_bucket
    assert version.artifact_uri == f"s3://{bucket}/artifacts/flights/1/model.onnx"
    data = stored(version)
    assert hashlib.sha256(data).hexdigest() == version.artifact_digest
    assert len(data) == version.size_bytes


def test_import__of_a_run__schema_packs_the_columns(run_id: str) -> None:
    version = imported(run_id=run_id)
    schema = version.schema()
    assert [(t.name, t.features) for t in schema.tensors] == [
        ("carrier", ("carrier",)),
        ("numeric", ("distance", "wind")),
    ]
    assert (schema.output.tensor, schema.output.kind) == ("probabilities", "binary")


def test_import__given_labels_and_threshold__win_over_the_tags(run_id: str) -> None:
    version = imported(
        run_id=run_id,
        label_map={"0": "no", "1": "yes"},
        decision_threshold=0.9,
    )
    assert (version.label_map, version.decision_threshold) == ({"0": "no", "1": "yes"}, 0.9)


def test_import__of_a_registered_version__finds_its_run(mlflow_server: str) -> None:
    run_id = log_run(mlflow_server, registered_name="flights-in-mlflow")
    version = imported(
        mlflow_name="flights-in-mlflow",
        mlflow_version="1",
    )
    assert version.run_id == run_id
    assert version.source == "models:/flights-in-mlflow/1"


def test_import__records_when_it_began_and_when_it_was_ready(run_id: str) -> None:
    version = imported(run_id=run_id)
    events = list(Event.objects.for_object(version.key).order_by("id"))
    assert [(event.verb, event.actor_key, event.team_key) for event in events] == [
        ("version.registered", "user:ada", "ops"),
        ("version.ready", "system:takeover", "ops"),
    ]
    assert events[1].after["content_digest"] == version.content_digest()  # type: ignore[index]  # JSON


def test_import__twice__next_number(run_id: str) -> None:
    model = make_model()
    numbers = [imported(model=model, run_id=run_id).number for _ in range(2)]
    assert numbers == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_import__three_at_once__three_numbers(run_id: str) -> None:
    model, actor = make_model(), scientist()

    def bring(_number: int) -> int:
        try:
            return services.import_version(actor=actor, model=model, run_id=run_id).number
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(bring, range(3))) == [1, 2, 3]


SIGNED = """
flavors: {onnx: {data: m}}
signature: {inputs: '[{"name": "a", "type": "double"}]'}
"""


def nothing_written() -> bool:
    return not ModelVersion.objects.exists() and make_model().last_number == 0


def nothing_ready() -> bool:
    return not ModelVersion.objects.filter(status="ready").exists()


def test_import__by_somebody_without_the_role__refused(run_id: str) -> None:
    with pytest.raises(PermissionDenied):
        imported(actor=approver(), run_id=run_id)
    assert nothing_written()


@pytest.mark.parametrize(
    ("given", "field", "error"),
    [
        ({"decision_threshold": 2.0}, "decision_threshold", Invalid),
        ({"decision_threshold": float("nan")}, "decision_threshold", Invalid),
        ({"semantic_version": "two"}, "semantic_version", Invalid),
        ({"label_map": {"0": "on time"}}, "label_map", TakeoverFailed),
        ({"label_map": {"no": "0", "yes": "1"}}, "label_map", TakeoverFailed),
        ({"artifact_path": "elsewhere"}, "artifact_path", SourceNotFound),
        ({"run_id": "nope"}, "run_id", SourceNotFound),
        ({"run_id": None}, "run_id", Invalid),
        ({"mlflow_name": "x"}, "run_id", Invalid),
        (
            {"run_id": None, "mlflow_name": "x", "mlflow_version": "9"},
            "mlflow_version",
            SourceNotFound,
        ),
    ],
)
def test_import__bad_input__names_the_field_and_nothing_is_ready(
    run_id: str, given: dict[str, object], field: str, error: type[DomainError]
) -> None:
    order: dict[str, Any] = {"run_id": run_id, **given}
    with pytest.raises(error) as refused:
        imported(**order)
    assert refused.value.field == field
    assert nothing_ready() if error is TakeoverFailed else nothing_written()


def test_import__semantic_version_taken__refused(run_id: str) -> None:
    make_version(semantic_version="1.0.0")
    with pytest.raises(AlreadyExists) as refused:
        imported(run_id=run_id, semantic_version="1.0.0")
    assert refused.value.field == "semantic_version"
    assert ModelVersion.objects.count() == 1


def test_import__signature_that_does_not_fit__names_the_column(mlflow_server: str) -> None:
    inputs = {"numeric": (TensorProto.FLOAT, 2)}
    run_id = log_run(mlflow_server, artifact=identity_model(inputs))
    with pytest.raises(TakeoverFailed, match="'carrier' is string"):
        imported(run_id=run_id)
    assert nothing_ready()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"MLmodel": "flavors: {spark: {}}", "model.pkl": "x"}, "this one is spark"),
        ({"MLmodel": "flavors: {onnx: {data: m}}"}, "'m', which is not there"),
        ({"MLmodel": SIGNED, "m": "no graph"}, "protobuf|graph"),
        ({"MLmodel": "flavors: {onnx: {data: m}}", "m": "x"}, "without an input signature"),
        ({"MLmodel": "{"}, "no YAML"),
    ],
)
def test_import__unreadable_artifact__refused_in_words(
    mlflow_server: str, files: dict[str, str], words: str
) -> None:
    run_id = log_files(mlflow_server, files)
    with pytest.raises((UnreadableArtifact, SchemaMismatch, TakeoverFailed), match=words):
        imported(run_id=run_id)
    assert nothing_ready()


def test_import__mlflow_away__nothing_written(
    configure: Configure, s3: str, free_port: int
) -> None:
    configure(mlflow_tracking_uri=f"http://127.0.0.1:{free_port}")
    with pytest.raises(MlflowUnavailable):
        imported(run_id="any")
    assert nothing_written()


def test_import__store_away__waits_and_is_taken_up_again(
    run_id: str, configure: Configure, free_port: int, s3: str
) -> None:
    with_store = settings.CONFIG.s3_endpoint_url
    configure(s3_endpoint_url=f"http://127.0.0.1:{free_port}")
    version = imported(run_id=run_id)
    assert version.status == "pending"
    assert version.status_detail.startswith("waiting: the artifact store is away")
    configure(s3_endpoint_url=with_store)
    assert taken_over(version).status == "ready"


def test_artifacts__of_many_parts__stream_with_their_digest(s3: str, tmp_path: Path) -> None:
    path, store = tmp_path / "large", ArtifactStore.configured()
    with path.open("wb") as file:
        for _ in range(40):
            file.write(os.urandom(1024 * 1024))
    with path.open("rb") as file:
        store.upload(file, "artifacts/large/1/model.onnx")
    with (tmp_path / "back").open("wb") as back:
        found = store.download("artifacts/large/1/model.onnx", back)
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
