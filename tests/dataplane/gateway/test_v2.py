"""The Open Inference Protocol over HTTP, by Triton's own client and by KServe's examples."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from benchmarks import rig
from tests.dataplane.gateway import iris
from tests.dataplane.gateway.site import Reply, Site

AUTHORIZED = {"Authorization": f"Bearer {rig.CLIENT_KEY}"}
ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
NESTED = {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": ROWS}
FLAT = {**NESTED, "data": [cell for row in ROWS for cell in row]}
INFER = "/v2/models/sklearn-iris/infer"


@pytest.fixture(scope="module")
def site(served: Site) -> Site:
    iris.install(served.environment)
    served.publish(iris.endpoint(served.triton), served.endpoint())
    return served


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{site.port}", concurrency=4) as client:
        yield client


def tensor(binary: bool = True, datatype: str = "FP32", name: str = "X") -> Any:
    given = triton.InferInput(name, [2, 4], datatype)
    dtype = {"FP32": np.float32, "FP64": np.float64}[datatype]
    given.set_data_from_numpy(np.array(ROWS, dtype=dtype), binary_data=binary)
    return given


def infer(client: Any, *inputs: Any, **options: Any) -> Any:
    arguments = {"headers": dict(AUTHORIZED), "parameters": {"user_id": "u1"}, **options}
    return client.infer("sklearn-iris", list(inputs), **arguments)


def ask(site: Site, *inputs: Any, **fields: Any) -> Reply:
    return site.post(INFER, {"inputs": list(inputs), **fields})


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_infer__tensors_in_any_form__give_the_models_output(
    client: Any, binary_in: bool, binary_out: bool
) -> None:
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary_out)
        for name in ("probabilities", "label", "prediction_id")
    ]
    answer = infer(client, tensor(binary_in), outputs=wanted, request_id="r7")
    np.testing.assert_allclose(answer.as_numpy("probabilities"), iris.expected(ROWS), rtol=1e-5)
    labels = [str(cell[0], "utf-8") if binary_out else cell[0] for cell in answer.as_numpy("label")]
    assert labels == ["setosa", "virginica"]
    response = answer.get_response()
    assert (response["id"], response["model_version"]) == ("r7", "1.0.0")
    assert response["parameters"]["variant"] == "stable"


def test_infer__no_outputs_named__gives_all(client: Any) -> None:
    answer = infer(client, tensor())
    assert answer.as_numpy("probabilities").shape == (2, 3)
    assert len({cell[0] for cell in answer.as_numpy("prediction_id")}) == 2


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_infer__compressed_both_ways__is_understood(client: Any, algorithm: str) -> None:
    answer = infer(
        client,
        tensor(),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_allclose(answer.as_numpy("probabilities"), iris.expected(ROWS), rtol=1e-5)


def test_infer__asynchronously__gives_each_answer(client: Any) -> None:
    waiting = [
        client.async_infer("sklearn-iris", [tensor()], headers=dict(AUTHORIZED)) for _ in range(8)
    ]
    for each in waiting:
        assert each.get_result().as_numpy("probabilities").shape == (2, 3)


def test_metadata__as_of_any_server__describes_the_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sklearn-iris")
    assert client.is_model_ready("sklearn-iris", "1")
    assert not client.is_model_ready("nope")
    headers = AUTHORIZED
    assert "binary_tensor_data" in client.get_server_metadata(headers=headers)["extensions"]
    metadata = client.get_model_metadata("sklearn-iris", "1.0.0", headers=headers)
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}]
    assert metadata["versions"] == ["1.0.0"]
    config = client.get_model_config("sklearn-iris", headers=headers)
    assert config["output"][0] == {
        "name": "probabilities",
        "data_type": "TYPE_FP32",
        "dims": [3],
    }
    index = client.get_model_repository_index(headers=headers)
    assert [each["name"] for each in index] == ["rig", "sklearn-iris"]


def test_statistics__after_an_answer__have_counted_it(client: Any) -> None:
    before = totals(client)
    infer(client, tensor())
    assert totals(client)["success"]["count"] == before["success"]["count"] + 2
    models = client.get_inference_statistics(headers=AUTHORIZED)["model_stats"]
    assert [each["name"] for each in models] == ["rig", "sklearn-iris"]


def totals(client: Any) -> Any:
    found = client.get_inference_statistics("sklearn-iris", "1", headers=AUTHORIZED)
    return found["model_stats"][0]["inference_stats"]


@pytest.mark.parametrize(
    "path", ["", "/models/rig", "/models/rig/config", "/models/rig/stats", "/models/stats"]
)
def test_metadata__without_key__is_401(site: Site, path: str) -> None:
    reply = site.get(f"/v2{path}")
    assert (reply.status, reply.json()["error"]) == (401, "a bearer token is required")


def test_metadata__of_an_endpoint_not_allowed__is_403_and_not_listed(site: Site) -> None:
    headers = {"Authorization": "Bearer k2"}
    assert site.request("GET", "/v2/models/rig", b"", headers).status == 403
    assert site.request("GET", "/v2/models/stats", b"", headers).json() == {"model_stats": []}
    assert site.post("/v2/repository/index", {}, key="k2").json() == []
    assert site.post(INFER, {"inputs": [NESTED]}, key="k2").status == 403


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("load_model", ["rig"], "control plane"),
        ("unload_model", ["rig"], "control plane"),
        ("get_system_shared_memory_status", [], "shared memory"),
        ("register_system_shared_memory", ["r", "k", 1], "shared memory"),
        ("get_cuda_shared_memory_status", [], "shared memory"),
        ("get_trace_settings", [], "trace"),
        ("get_trace_settings", ["rig"], "trace"),
        ("get_log_settings", [], "log settings"),
    ],
)
def test_administration__by_a_client__is_refused_with_a_reason(
    client: Any, method: str, arguments: list[Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        getattr(client, method)(*arguments)


@pytest.mark.parametrize("given", [NESTED, FLAT], ids=["nested", "flat"])
def test_kserve__its_examples__are_answered(site: Site, given: Any) -> None:
    reply = ask(site, given)
    (output, label, _) = reply.json()["outputs"]
    assert output["shape"] == [2, 3]
    np.testing.assert_allclose(
        np.reshape(output["data"], output["shape"]), iris.expected(ROWS), rtol=1e-5
    )
    assert label["data"] == ["setosa", "virginica"]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_kserve__a_column_per_feature__is_the_same(site: Site, shape: list[int]) -> None:
    columns = [
        {"name": name, "shape": shape, "datatype": "FP64", "data": [row[at] for row in ROWS]}
        for at, name in enumerate(iris.NAMES)
    ]
    assert answered(ask(site, *columns)) == answered(ask(site, NESTED))


def answered(reply: Reply) -> Any:
    return reply.json()["outputs"][0]["data"]


def test_infer__text_and_optional_features__may_be_left_to_columns(site: Site) -> None:
    numeric = {"name": "numeric", "shape": [1, 8], "datatype": "FP32", "data": [0.5] * 8}
    carrier = {"name": "carrier", "shape": [1, 1], "datatype": "BYTES", "data": ["UA"]}
    reply = site.post("/v2/models/rig/infer", {"inputs": [numeric, carrier]})
    assert reply.status == 200
    carrier["data"] = ["ZZ"]
    reply = site.post("/v2/models/rig/infer", {"inputs": [numeric, carrier]})
    assert (reply.status, reply.paths()) == (422, ["$.rows[0].carrier"])


def test_infer__user_in_header__decides_the_variant(site: Site) -> None:
    headers = {"X-Switchyard-User": "u1"}
    reply = site.post(INFER, {"inputs": [NESTED]}, **headers)
    assert reply.status == 200
    assert site.post(INFER, {"inputs": [NESTED]}, **{"X-Switchyard-User": "u" * 300}).status == 422


BAD = {
    "no inputs": ({}, 422, "$"),
    "empty inputs": ({"inputs": []}, 422, "$.inputs.X"),
    "unknown input": ({"inputs": [NESTED, {**NESTED, "name": "y"}]}, 422, "$.inputs.y"),
    "width": ({"inputs": [{**NESTED, "shape": [2, 3]}]}, 422, "$.inputs.input-0"),
    "too many rows": ({"inputs": [{**NESTED, "shape": [257, 4]}]}, 422, "$.inputs.input-0"),
    "negative": ({"inputs": [{**NESTED, "shape": [-2, 4]}]}, 422, "$.inputs.input-0"),
    "no shape": ({"inputs": [{**NESTED, "shape": []}]}, 422, "$.inputs.input-0"),
    "shape no list": ({"inputs": [{**NESTED, "shape": 2}]}, 422, "$.inputs[0].shape"),
    "too few cells": ({"inputs": [{**NESTED, "data": [1, 2]}]}, 422, "$.inputs.input-0"),
    "ragged": ({"inputs": [{**NESTED, "data": [[1] * 4, 2]}]}, 422, "$.inputs.input-0"),
    "data no list": ({"inputs": [{**NESTED, "data": 7}]}, 422, "$.inputs[0].data"),
    "datatype": ({"inputs": [{**NESTED, "datatype": "BF16"}]}, 422, "$.inputs.input-0"),
    "text": ({"inputs": [{**NESTED, "datatype": "BYTES"}]}, 422, "$.inputs.input-0"),
    "cell no number": (
        {"inputs": [{**NESTED, "data": [["a"] * 4] * 2}]},
        422,
        "$.rows[1].petal_width",
    ),
    "cell out of range": (
        {"inputs": [{**NESTED, "data": [-1.0] * 8}]},
        422,
        "$.rows[0].sepal_length",
    ),
    "twice": ({"inputs": [{**NESTED, "name": "X"}] * 2}, 422, "$.inputs.X"),
    "unknown output": ({"inputs": [NESTED], "outputs": [{"name": "y"}]}, 422, "$.outputs.y"),
    "classification": (
        {"inputs": [NESTED], "outputs": [{"name": "label", "parameters": {"classification": 1}}]},
        422,
        "$.parameters.classification",
    ),
    "shared memory": (
        {"inputs": [{**NESTED, "parameters": {"shared_memory_region": "r"}}]},
        422,
        "$.parameters.shared_memory_region",
    ),
    "binary without its bytes": (
        {"inputs": [{**NESTED, "data": None, "parameters": {"binary_data_size": 32}}]},
        422,
        "$.inputs[0].parameters.binary_data_size",
    ),
    "timeout": ({"inputs": [NESTED], "parameters": {"timeout": -1}}, 422, "$.parameters.timeout"),
}


@pytest.mark.parametrize("case", BAD)
def test_infer__bad_input__names_what_does_not_fit(site: Site, case: str) -> None:
    body, status, path = BAD[case]
    reply = site.post(INFER, body)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json")
    assert path in reply.paths()
    assert path in reply.json()["error"]


@pytest.mark.parametrize("length", ["0", "1", "99999", "-1", "x", "1_0"])
def test_infer__wrong_length_of_the_json__is_a_client_error(site: Site, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert site.post(INFER, {"inputs": [NESTED]}, **headers).status == 400


def test_infer__nan_in_json__is_named_by_row_and_feature(site: Site) -> None:
    reply = ask(site, {**FLAT, "data": [float("nan")] * 8})
    assert reply.status == 422
    assert reply.paths()[-1] == "$.rows[1].petal_width"


@pytest.mark.parametrize("path", ["/v2/models/sklearn%2Diris", "/v2/models/sklearn-iris/", "/v2/"])
def test_paths__escaped_or_with_a_slash__are_the_same(site: Site, path: str) -> None:
    assert site.request("GET", path, b"", AUTHORIZED).status == 200


@pytest.mark.parametrize(
    "path", ["/v2/models", "/v2/models/%ff", "/v2/x", "/v2x", "/v2/models/a/b"]
)
def test_paths__of_nothing__are_404(site: Site, path: str) -> None:
    assert site.request("GET", path, b"", AUTHORIZED).status == 404


def test_streaming__asked_for__is_refused_clearly(site: Site) -> None:
    body = {"inputs": [NESTED]}
    for reply in (
        site.post("/v2/models/sklearn-iris/generate_stream", body),
        site.post("/generate_stream", body),
        site.post(INFER, body, Accept="text/event-stream"),
        site.post("/v1/predict", {}, Accept="text/event-stream"),
    ):
        assert reply.status == 406
        assert "stream" in reply.json()["detail"]
    assert site.post(INFER, body, Accept="text/event-stream, application/json").status == 200


def test_compression__of_any_request__is_undone_within_bounds(site: Site) -> None:
    body = {"model": "rig", "features": rig.example(), "user_id": "u1"}
    data = bytes(str(body).replace("'", '"'), "utf-8")
    for coding, packed in (("gzip", gzip.compress(data)), ("deflate", zlib.compress(data))):
        assert site.post("/v1/predict", packed, **{"Content-Encoding": coding}).status == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert site.post("/v1/predict", bomb, **{"Content-Encoding": "gzip"}).status == 413
    torn = gzip.compress(data)[:-4]
    assert site.post("/v1/predict", torn, **{"Content-Encoding": "gzip"}).status == 400
    assert site.post("/v1/predict", data, **{"Content-Encoding": "gzip"}).status == 400
    assert site.post("/v1/predict", data, **{"Content-Encoding": "br"}).status == 415
