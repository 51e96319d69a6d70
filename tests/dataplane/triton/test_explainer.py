"""Explanations by a real Triton: against closed forms, sums and faults."""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import psutil
import pytest
from msgspec.structs import replace
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from contracts import signing
from contracts.routing import Limits
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from dataplane.triton.explainer import NotExplainable, explainer_pbtxt
from serving.background import encode_background
from serving.validation import compile_schema
from tests.dataplane.triton.conftest import Site, manifest, signed
from tests.dataplane.triton.models import SCHEMA, classifier, linear, multiclass

Rows = list[dict[str, Any]]
Floats = np.ndarray[Any, Any]
TYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}
RANDOM = np.random.default_rng(7)
BACKGROUND: Rows = [
    {"a": float(a), "b": 2 + abs(float(b)), "row": int(row), "carrier": carrier}
    for a, b, row, carrier in zip(
        RANDOM.normal(size=20).astype(np.float32),
        RANDOM.normal(size=20).astype(np.float32),
        RANDOM.integers(0, 3, size=20),
        ["AA", "UA"] * 10,
        strict=True,
    )
]
ROW = {"a": -2.5, "b": 2.0, "row": 2, "carrier": "AA"}
NUMBERS = ModelSchema(
    features=tuple(FeatureSpec(name=name, kind="float", nullable=True) for name in "uvw"),
    tensors=(TensorSpec(name="x", datatype="FP32", features=("u", "v", "w")),),
    output=OutputSpec(tensor="y", kind="regression", width=1),
)
CLASSES = ModelSchema(
    features=NUMBERS.features,
    tensors=NUMBERS.tensors,
    output=OutputSpec(tensor="p", kind="multiclass", width=3),
)


def entry_files(entry: str, schema: ModelSchema, graph: bytes, rows: Rows) -> dict[str, bytes]:
    compiled = compile_schema(schema)
    return {
        "config.pbtxt": explainer_pbtxt(schema, entry).encode(),
        "1/model.onnx": graph,
        "1/background.json": encode_background(compiled, [compiled.read(row) for row in rows]),
    }


def put(site: Site, entry: str, files: dict[str, bytes]) -> None:
    listed = site.upload(entry, files)
    wanted = replace(manifest(entry, listed), runtime="python-explain")
    body = signing.encode(signed(wanted))
    site.http.put(f"/v1/entries/{entry}", content=body).raise_for_status()


Ask = Callable[..., Mapping[str, Floats]]


@pytest.fixture(scope="module")
def explain(lasting_site: Site) -> Iterator[Ask]:
    """Asks for the tensors of one row; the explainer named is loaded when first asked."""
    made = {
        "binary-v1-explain": (SCHEMA, classifier(), BACKGROUND),
        "linear-v1-explain": (NUMBERS, linear([2.0, -3.0, 0.5], 1.0), numbers()),
        "classes-v1-explain": (CLASSES, multiclass(), numbers()),
    }
    loaded: set[str] = set()
    client = InferenceServerClient(f"127.0.0.1:{lasting_site.services.ports['TRITON_GRPC']}")

    def ask(entry: str, row: dict[str, Any], index: int = -1) -> Mapping[str, Floats]:
        schema, graph, rows = made[entry]
        if entry not in loaded:
            put(lasting_site, entry, entry_files(entry, schema, graph, rows))
            lasting_site.wait_for(entry, "ready")
            loaded.add(entry)
        inputs = [tensor("class", "INT64", [index])]
        for each in schema.tensors:
            cells = [math.nan if row[name] is None else row[name] for name in each.features]
            inputs.append(tensor(each.name, each.datatype, cells))
        answer = client.infer(entry, inputs, client_timeout=60)
        names = ("contributions", "base_value", "prediction", "class")
        return {name: np.asarray(answer.as_numpy(name))[0] for name in names}

    yield ask
    client.close()


def numbers() -> Rows:
    cells = np.random.default_rng(3).normal(size=(30, 3)).astype(np.float32)
    return [dict(zip("uvw", map(float, row), strict=True)) for row in cells]


def tensor(name: str, datatype: str, cells: list[Any]) -> InferInput:
    item = InferInput(name, [1, len(cells)], datatype)
    item.set_data_from_numpy(np.array([cells], dtype=TYPES[datatype]))
    return item


def late(row: Mapping[str, Any]) -> float:
    """What `classifier` computes."""
    logit = row["a"] + row["b"] + row["row"] + {"AA": 1.0, "UA": 2.0}[row["carrier"]]
    return float(1 / (1 + np.exp(-logit)))


def shapley(row: Mapping[str, Any], background: Rows) -> dict[str, float]:
    """By the definition: over all orders, with what is left out taken from the background."""
    value = {
        frozenset(known): np.mean(
            [late({**other, **{n: row[n] for n in known}}) for other in background]
        )
        for size in range(len(row) + 1)
        for known in itertools.combinations(row, size)
    }
    found = dict.fromkeys(row, 0.0)
    orders = list(itertools.permutations(row))
    for order in orders:
        for at, name in enumerate(order):
            gain = value[frozenset(order[: at + 1])] - value[frozenset(order[:at])]
            found[name] += float(gain) / len(orders)
    return found


@pytest.mark.proof
def test_explain__linear_model__equals_the_closed_form(explain: Ask) -> None:
    row = {"u": 1.5, "v": -0.25, "w": 4.0}
    found = explain("linear-v1-explain", row)
    means = {name: np.mean([each[name] for each in numbers()]) for name in "uvw"}
    expected = [2.0 * (1.5 - means["u"]), -3.0 * (-0.25 - means["v"]), 0.5 * (4.0 - means["w"])]
    np.testing.assert_allclose(found["contributions"], expected, atol=1e-5)
    base = 1.0 + 2.0 * means["u"] - 3.0 * means["v"] + 0.5 * means["w"]
    np.testing.assert_allclose(found["base_value"], [base], atol=1e-5)
    assert found["class"] == [-1]


def test_explain__binary_model__is_near_the_shapley_values_and_sums_exactly(explain: Ask) -> None:
    found = explain("binary-v1-explain", ROW)
    expected = shapley(ROW, BACKGROUND)
    np.testing.assert_allclose(found["contributions"], list(expected.values()), atol=0.01)
    total = found["base_value"][0] + found["contributions"].sum()
    assert total == pytest.approx(late(ROW), abs=1e-6)
    assert found["prediction"][0] == pytest.approx(late(ROW), abs=1e-6)


def test_explain__asked_twice__same_answer(explain: Ask) -> None:
    one, other = explain("binary-v1-explain", ROW), explain("binary-v1-explain", ROW)
    assert list(one["contributions"]) == list(other["contributions"])


def test_explain__class_0_of_two__mirrors_class_1(explain: Ask) -> None:
    one, zero = explain("binary-v1-explain", ROW), explain("binary-v1-explain", ROW, 0)
    np.testing.assert_allclose(zero["contributions"], -one["contributions"], atol=1e-9)
    assert zero["prediction"] + one["prediction"] == pytest.approx(1.0)


@pytest.mark.proof
def test_explain__many_classes__the_likeliest_unless_asked(explain: Ask) -> None:
    row = {"u": 0.1, "v": 5.0, "w": 0.2}
    assert explain("classes-v1-explain", row)["class"] == [1]
    asked = [explain("classes-v1-explain", row, index) for index in range(3)]
    assert [found["class"][0] for found in asked] == [0, 1, 2]
    np.testing.assert_allclose(sum(found["contributions"] for found in asked), 0, atol=1e-5)


@pytest.mark.proof
def test_explain__class_that_there_is_not__is_an_error(explain: Ask) -> None:
    with pytest.raises(InferenceServerException, match="classes 0 to 2"):
        explain("classes-v1-explain", {"u": 0.0, "v": 0.0, "w": 0.0}, 3)


@pytest.mark.proof
def test_explain__output_that_is_no_number__is_an_error_that_says_so(explain: Ask) -> None:
    with pytest.raises(InferenceServerException, match="miss the prediction"):
        explain("linear-v1-explain", {"u": None, "v": 0.0, "w": 0.0})


def test_explainer__its_process__gives_way_to_all_others(lasting_site: Site, explain: Ask) -> None:
    explain("binary-v1-explain", ROW)
    stubs = psutil.Process(lasting_site.triton.pid).children(recursive=True)
    given_way = [stub for stub in stubs if stub.nice() == 10]
    assert given_way
    assert all(os.getsid(stub.pid) == stub.pid for stub in given_way)


@pytest.mark.proof
def test_explainer__after_a_restart__versions_serve_before_it_and_it_answers_when_ready(
    lasting_site: Site, explain: Ask
) -> None:
    explain("binary-v1-explain", ROW)
    lasting_site.put("binary-v1", lasting_site.upload("binary-v1"))
    lasting_site.wait_for("binary-v1", "ready")
    lasting_site.restart_triton()
    lasting_site.wait_for("binary-v1", "ready")
    seen = lasting_site.state("binary-v1-explain")["state"]
    lasting_site.wait_for("binary-v1-explain", "ready")
    began = time.monotonic()
    explain("binary-v1-explain", ROW)
    took = time.monotonic() - began
    lasting_site.http.delete("/v1/entries/binary-v1")
    print(f"first_explanation_s={took:.3f} while_serving={seen}")
    assert seen == "loading"
    assert took < Limits().explain_deadline_ms / 1_000


def test_explainer__background_that_the_graph_refuses__fails_to_load(lasting_site: Site) -> None:
    rows = [{**row, "row": 99} for row in BACKGROUND]
    put(lasting_site, "bad-v1-explain", entry_files("bad-v1-explain", SCHEMA, classifier(), rows))
    assert "out of data bounds" in lasting_site.wait_for("bad-v1-explain", "failed")["error"]


def test_config__input_named_class__not_explainable() -> None:
    tensors = (TensorSpec(name="class", datatype="FP32", features=("u", "v", "w")),)
    schema = ModelSchema(features=NUMBERS.features, tensors=tensors, output=NUMBERS.output)
    with pytest.raises(NotExplainable, match="'class'"):
        explainer_pbtxt(schema, "x-v1-explain")
