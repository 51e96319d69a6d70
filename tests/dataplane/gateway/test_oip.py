"""Triton's own gRPC client, pointed at the gateway."""

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from benchmarks import rig
from contracts.routing import EndpointSpec
from tests.dataplane.gateway.site import Site

AUTHORIZED = {"authorization": f"Bearer {rig.CLIENT_KEY}"}


@pytest.fixture(scope="module")
def client(served: Site) -> Iterator[Any]:
    served.publish(spec(served))
    with triton.InferenceServerClient(served.environment["GATEWAY_GRPC_URL"]) as client:
        yield client


def spec(site: Site) -> EndpointSpec:
    """The rig's endpoint without its text feature, so that tensors say everything."""
    schema = rig.SCHEMA
    features = tuple(each for each in schema.features if each.kind != "string")
    tensors = type(schema)(features=features, tensors=schema.tensors, output=schema.output)
    return rig.endpoint([rig.variant(1, site.triton, schema=tensors)])


def inputs(rows: int = 1, code: int = 1, value: float = 0.5) -> list[Any]:
    numeric = triton.InferInput("numeric", [rows, len(rig.NUMBERS)], "FP32")
    numeric.set_data_from_numpy(np.full((rows, len(rig.NUMBERS)), value, dtype=np.float32))
    codes = triton.InferInput("code", [rows, 1], "INT64")
    codes.set_data_from_numpy(np.full((rows, 1), code, dtype=np.int64))
    return [numeric, codes]


def infer(client: Any, given: list[Any], **options: Any) -> Any:
    arguments = {"headers": AUTHORIZED, "parameters": {"user_id": "u1"}, **options}
    return client.infer(options.pop("model", "rig"), given, **arguments)


def test_infer__several_rows__gives_the_models_output_for_each(client: Any) -> None:
    answer = infer(client, inputs(rows=3))
    probabilities = answer.as_numpy("probabilities")
    np.testing.assert_allclose(probabilities, [[1 / (1 + np.e), np.e / (1 + np.e)]] * 3, rtol=1e-5)
    response = answer.get_response()
    assert response.model_version == "1.0.0"
    assert response.parameters["variant"].string_param == "stable"


def test_health_and_metadata__as_of_any_server__describe_the_endpoint(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("rig")
    assert not client.is_model_ready("nope")
    assert client.is_model_ready("rig", "1")
    assert not client.is_model_ready("rig", "9")
    assert client.get_server_metadata(headers=AUTHORIZED).name == "switchyard"
    metadata = client.get_model_metadata("rig", headers=AUTHORIZED)
    assert [each.name for each in metadata.inputs] == ["numeric", "code"]
    assert [each.name for each in metadata.outputs] == ["probabilities", "label", "prediction_id"]
    assert list(metadata.outputs[0].shape) == [-1, 2]
    config = client.get_model_config("rig", headers=AUTHORIZED).config
    assert (config.max_batch_size, config.input[0].dims[0], config.input[1].optional) == (256, 8, 1)
    index = client.get_model_repository_index(headers=AUTHORIZED)
    assert [(each.name, each.version, each.state) for each in index.models] == [
        ("rig", "1.0.0", "READY")
    ]


def test_statistics__after_answers_and_a_failure__count_rows(client: Any) -> None:
    before = statistics(client)
    infer(client, inputs(rows=3))
    with pytest.raises(InferenceServerException, match="failed") as caught:
        infer(client, inputs(code=99))
    assert caught.value.status() == "StatusCode.INTERNAL"
    after = statistics(client)
    assert (after.name, after.version) == ("rig", "1.0.0")
    assert after.inference_count - before.inference_count == 3
    assert after.inference_stats.fail.count - before.inference_stats.fail.count == 1
    assert after.inference_stats.fail.ns > before.inference_stats.fail.ns
    assert after.inference_stats.success.ns > before.inference_stats.success.ns


def statistics(client: Any) -> Any:
    (found,) = client.get_inference_statistics("rig", headers=AUTHORIZED).model_stats
    return found


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_model_metadata("rig"),
        lambda client: client.get_model_config("rig"),
        lambda client: client.get_inference_statistics("rig"),
        lambda client: client.get_model_repository_index(),
    ],
)
def test_metadata__without_key__is_unauthenticated(client: Any, ask: Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(client)
    assert caught.value.status() == "StatusCode.UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.load_model("rig"), "control plane"),
        (lambda client: client.unload_model("rig"), "control plane"),
        (lambda client: client.get_system_shared_memory_status(), "shared memory"),
        (lambda client: client.get_trace_settings(), "trace"),
        (lambda client: client.get_log_settings(), "log settings"),
    ],
)
def test_administration__by_a_client__is_refused_with_a_reason(
    client: Any, ask: Any, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        ask(client)
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_stream__asked_for__is_refused_with_a_reason(client: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put(error), headers=AUTHORIZED)
    assert "streaming is not offered" in str(answers.get(timeout=5))
    client.stop_stream()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_id": 7}, "sequences"),
        ({"parameters": {"user_id": "u" * 300}}, "user_id"),
        ({"outputs": [triton.InferRequestedOutput("label", class_count=2)]}, "classification"),
        ({"outputs": [triton.InferRequestedOutput("nothing")]}, "outputs.nothing"),
    ],
)
def test_infer__what_is_not_offered__is_invalid(
    client: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        infer(client, inputs(), **options)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_infer__one_input_per_feature__is_the_same_as_tensors(client: Any) -> None:
    columns = [triton.InferInput(name, [2], "FP64") for name in rig.NUMBERS]
    for column in columns:
        column.set_data_from_numpy(np.full(2, 0.5))
    code = inputs(rows=2)[1]
    apart = infer(client, [*columns, code]).as_numpy("probabilities")
    np.testing.assert_array_equal(apart, infer(client, inputs(2)).as_numpy("probabilities"))


def test_infer__outputs_named__gives_those_with_an_id_for_each_row(client: Any) -> None:
    wanted = [triton.InferRequestedOutput(name) for name in ("label", "prediction_id")]
    answer = infer(client, inputs(rows=2), outputs=wanted, compression_algorithm="gzip")
    assert answer.as_numpy("label").tolist() == [[b"late"], [b"late"]]
    assert len({row[0] for row in answer.as_numpy("prediction_id")}) == 2
    assert answer.as_numpy("probabilities") is None


def test_infer__without_key__is_unauthenticated(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="bearer") as caught:
        infer(client, inputs(), headers={})
    assert caught.value.status() == "StatusCode.UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (inputs()[1:], r"inputs.numeric: is required"),
        (inputs(value=float("nan")), r"rows\[0\].x0: must be a finite number"),
        (inputs(value=1e8), "must be at most"),
    ],
)
def test_infer__bad_rows__name_the_input_and_the_feature(
    client: Any, given: list[Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        infer(client, given)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
