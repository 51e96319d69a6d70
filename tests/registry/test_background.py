"""The sample that explanations compare with: what is taken, what is refused, what is signed."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from apps.registry.artifacts import ArtifactStore
from apps.registry.background import background_of
from apps.registry.errors import TakeoverFailed
from apps.registry.model_schema import Mismatch
from apps.registry.models import ModelVersion
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.background import thinned
from tests.registry.factories import make_version
from tests.registry.mlflow_runs import log_run
from tests.registry.takeovers import imported

SCHEMA = ModelSchema(
    features=(
        FeatureSpec(name="carrier", kind="string"),
        FeatureSpec(name="distance", kind="float", required=False),
        FeatureSpec(name="stops", kind="integer"),
    ),
    tensors=(
        TensorSpec(name="carrier", datatype="BYTES", features=("carrier",)),
        TensorSpec(name="distance", datatype="FP32", features=("distance",)),
        TensorSpec(name="stops", datatype="INT64", features=("stops",)),
    ),
    output=OutputSpec(tensor="p"),
)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"carrier": "ÆØ", "distance": 0.5, "stops": number} for number in range(count)]


def flights(count: int) -> list[dict[str, Any]]:
    return [{"carrier": "UA", "distance": 500.0, "wind": float(number)} for number in range(count)]


def test_background__logged_rows__are_the_models_tensors() -> None:
    sample = [*rows(9), {"carrier": "", "stops": -1}]
    found = background_of(SCHEMA, sample, [])
    assert found is not None
    tensors = json.loads(found.body)
    assert tensors["carrier"] == [["ÆØ"]] * 9 + [[""]]
    assert tensors["distance"] == [[0.5]] * 9 + [[None]]
    assert tensors["stops"] == [[number] for number in [*range(9), -1]]
    assert (found.rows, found.digest) == (10, hashlib.sha256(found.body).hexdigest())


def test_background__many_rows__a_hundred_over_their_whole_order() -> None:
    kept = thinned(range(1_000))
    assert (len(kept), kept[0], kept[1], kept[-1]) == (100, 0, 10, 990)


def test_background__no_sample__the_example_where_it_has_rows_enough() -> None:
    unfit = {"carrier": 3}
    found = background_of(SCHEMA, None, [*rows(10), unfit])
    assert found is not None
    assert found.rows == 10
    assert background_of(SCHEMA, None, rows(9)) is None


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (rows(9), "9 rows"),
        ([*rows(10), {"carrier": "UA", "stops": 1.5}], r"row 10 .*features\.stops"),
    ],
)
def test_background__sample_that_does_not_do__is_refused(
    sample: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(Mismatch, match=words):
        background_of(SCHEMA, sample, rows(20))


def write(path: Path, sample: list[dict[str, Any]]) -> list[str]:
    file = path / "background.json"
    file.write_text(json.dumps(sample))
    return [str(file)]


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:::mlflow")
def test_import__sample_among_the_extra_files__kept_with_its_digest(
    mlflow_server: str, tmp_path: Path
) -> None:
    run_id = log_run(mlflow_server, extra_files=write(tmp_path, flights(12)))
    version = imported(run_id=run_id)
    assert version.background_rows == 12
    store, file = ArtifactStore.configured(), io.BytesIO()
    digest = store.download(store.key(version.background_uri), file)
    assert (digest, len(file.getvalue())) == (version.background_digest, version.background_size)


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:::mlflow")
def test_import__sample_that_does_not_fit__fails_in_words(
    mlflow_server: str, tmp_path: Path
) -> None:
    run_id = log_run(mlflow_server, extra_files=write(tmp_path, rows(12)))
    with pytest.raises(TakeoverFailed, match=r"row 0 of background\.json"):
        imported(run_id=run_id)
    assert not ModelVersion.objects.filter(status="ready").exists()


@pytest.mark.django_db
def test_content_digest__other_sample__is_another() -> None:
    version = make_version()
    before = version.content_digest()
    version.background_digest = "a" * 64
    assert version.content_digest() != before
