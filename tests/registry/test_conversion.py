"""Models of other frameworks: converted in the sandbox, proved, or refused in words."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.registry.conversion.proof import compare
from apps.registry.errors import NotConvertible, TakeoverFailed
from apps.registry.intake.converting import convert
from apps.registry.models import ModelVersion
from contracts.schema import Labelling, OutputSpec
from tests.registry.foreign import COLUMNS, NUMBERS, mlmodel, pickled, signature, train
from tests.registry.mlflow_runs import log_folder
from tests.registry.takeovers import imported

XGB = {"model_class": "xgboost.sklearn.XGBClassifier", "xgb_version": "3.2.0"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model of each kind."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder)
    return folder


def logged(
    uri: str, place: Path, model: Path, flavor: str, columns: dict[str, str], **settings: str
) -> str:
    """A run with this model file and the example rows that belong to it; its id."""
    rows = model.with_name("rows.json" if columns is COLUMNS else "numbers.json")
    shutil.copy(model, place / model.name)
    shutil.copy(rows, place / "input_example.json")
    (place / "MLmodel").write_text(mlmodel(flavor, model.name, columns, **settings))
    return log_folder(uri, place)


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:::mlflow")
@pytest.mark.parametrize(
    ("name", "flavor", "columns", "settings"),
    [
        pytest.param(
            "pipeline.skops",
            "sklearn",
            COLUMNS,
            {"sklearn_version": "1.5.0"},
            marks=pytest.mark.proof,
        ),
        ("classifier.ubj", "xgboost", NUMBERS, XGB),
        pytest.param(
            "booster.lgb",
            "lightgbm",
            NUMBERS,
            {"lgb_version": "4.7.0"},
            marks=pytest.mark.proof,
        ),
    ],
)
def test_import__of_another_framework__converted_and_proved(
    mlflow_server: str,
    trained: Path,
    tmp_path: Path,
    name: str,
    flavor: str,
    columns: dict[str, str],
    settings: dict[str, str],
) -> None:
    run_id = logged(mlflow_server, tmp_path, trained / name, flavor, columns, **settings)
    version = imported(run_id=run_id)
    assert (version.framework, version.triton_backend) == (flavor, "onnxruntime")
    assert version.artifact_uri.endswith("/model.onnx")
    proof, evidence = version.conversion["proof"], version.conversion
    assert (proof["rows"], proof["labels_agree"], proof["within"]) == (32, 1.0, 1.0)
    assert proof["max_abs"] < 1e-5
    assert evidence["source"]["path"] == name
    assert evidence["sandbox"]["seccomp"]
    drift = "made by scikit-learn 1.5.0, opened by 1.9.1" if flavor == "sklearn" else ""
    assert evidence["drift"] == drift


def opened(place: Path, code: str, wall_s: float = 60.0) -> str:
    """What is said of a pickle that runs `code`."""
    source = place / "source.pkl"
    source.write_bytes(pickled(code))
    with pytest.raises(NotConvertible) as refused:
        convert(source, "sklearn", {}, signature(NUMBERS), [{"stops": 1.0}], wall_s=wall_s)
    return refused.value.detail


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 80))", "not permitted"),
        ("open('/etc/shadow').read()", "No such file|Permission denied"),
        ("open('{checkout}/pyproject.toml').read()", "No such file|Permission denied"),
        ("import os; os.fork()", "not permitted"),
        ("import subprocess; subprocess.run(['/bin/true'])", "not permitted"),
        ("import os; os.kill(os.getppid(), 9)", "not permitted"),
        ("x = bytearray(64 * 1024**3)", "MemoryError"),
        ("open('/tmp/left-behind', 'w')", "No such file|Permission denied"),
        ("import os; os._exit(0)", "makes no sense"),
        ("print('x' * 10**8)\nraise ValueError('enough')", "enough"),
        ("import os; os.symlink('/etc/shadow', os.environ['HOME'] + '/model.onnx')", "denied"),
    ],
)
def test_pickle__that_does_what_it_must_not__is_refused_in_words(
    tmp_path: Path, code: str, words: str
) -> None:
    checkout = Path(__file__).parents[2]
    detail = opened(tmp_path, code.replace("{checkout}", str(checkout)))
    assert detail.startswith(("the model cannot be opened:", "the model was stopped"))
    assert re.search(words, detail), detail
    assert len(detail) < 1_000
    assert not Path("/tmp/left-behind").exists()  # noqa: S108  # what the pickle tried


def test_pickle__that_never_ends__is_stopped(tmp_path: Path) -> None:
    assert "it took longer than 1 s" in opened(tmp_path, "while True: pass", wall_s=1.0)


def test_model__without_a_sample__nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(NotConvertible, match="nothing shows what it answers"):
        convert(tmp_path / "source.pkl", "sklearn", {}, signature(NUMBERS), [])


def test_proof__answers_apart__does_not_hold() -> None:
    first = np.array([[0.2, 0.8], [0.9, 0.1]] * 50)
    output, labelling = OutputSpec(tensor="probabilities"), Labelling()
    same = compare(first, first + 1e-5, output, labelling)
    assert (same.holds, same.labels_agree, same.rows) == (True, 1.0, 100)
    apart = compare(first, first[:, ::-1], output, labelling)
    assert (apart.holds, apart.labels_agree, apart.within) == (False, 0.0, 0.0)
    assert apart.max_abs == pytest.approx(0.8)
    none = compare(first, first * np.nan, output, labelling)
    assert not none.holds
    assert same.low is not None
    assert 0.96 < same.low < 0.97


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:::mlflow")
def test_import__of_a_hostile_pickle__fails_and_leaves_nothing(
    mlflow_server: str, trained: Path, tmp_path: Path
) -> None:
    hostile = trained / "hostile.pkl"
    hostile.write_bytes(pickled("import socket; socket.socket()"))
    run_id = logged(mlflow_server, tmp_path, hostile, "sklearn", NUMBERS)
    with pytest.raises(TakeoverFailed, match="cannot be opened: PermissionError"):
        imported(run_id=run_id)
    version = ModelVersion.objects.get()
    assert (version.status, version.artifact_uri, version.artifact_digest) == ("failed", "", "")


OPAQUE: dict[str, Any] = {
    "tensorflow": (
        {"model/saved_model.pb": b"graph", "model/variables/variables.index": b"weights"},
        "saved_model_dir: model",
        "tensorflow",
    ),
    "pytorch": (
        {"data/model.pth": b"pickled", "model.pt": b"scripted"},
        "model_data: data",
        "pytorch",
    ),
    "tensorrt": ({"model.plan": b"plan"}, "data: model.plan", "tensorrt"),
}


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:::mlflow")
@pytest.mark.parametrize("flavor", sorted(OPAQUE))
def test_import__of_what_onnx_cannot_carry__kept_as_it_is_with_every_digest(
    mlflow_server: str, tmp_path: Path, flavor: str
) -> None:
    files, settings, backend = OPAQUE[flavor]
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    entries = [json.dumps([{**tensor, "name": name}]) for name in ("x", "probabilities")]
    (tmp_path / "MLmodel").write_text(
        f"flavors: {{{flavor}: {{{settings}}}}}\n"
        f"signature: {{inputs: '{entries[0]}', outputs: '{entries[1]}'}}\n"
    )
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    version = imported(run_id=log_folder(mlflow_server, tmp_path))
    assert (version.framework, version.triton_backend) == (flavor, backend)
    kept = {each["path"]: each["size"] for each in version.files}
    assert kept == {
        name: len(data) for name, data in files.items() if flavor != "pytorch" or name == "model.pt"
    }
    assert version.schema().tensors[0].features == ("x_0", "x_1")
