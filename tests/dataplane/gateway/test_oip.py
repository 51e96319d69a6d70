"""Triton's own gRPC client, pointed at the gateway."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from benchmarks import rig
from contracts.routing import EndpointSpec
from tests.dataplane.gateway.site import Site, eventually

AUTHORIZED = {"authorization": f"Bearer {rig.CLIENT_KEY}"}


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    site.serve(spec(site))
    with triton.InferenceServerClient(site.environment["GATEWAY_GRPC_URL"]) as client:
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


def test_infer__several_rows__gives_the_models_output_for_each(client: Any, site: Site) -> None:
    answer = infer(client, inputs(rows=3))
    probabilities = answer.as_numpy("probabilities")
    np.testing.assert_allclose(probabilities, [[1 / (1 + np.e), np.e / (1 + np.e)]] * 3, rtol=1e-5)
    response = answer.get_response()
    assert response.model_version == "1.0.0"
    assert response.parameters["variant"].string_param == "stable"
    eventually(lambda: site.requests_counted() == 3)


def test_health_and_metadata__as_of_any_server__describe_the_endpoint(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("rig")
    assert not client.is_model_ready("nope")
    metadata = client.get_model_metadata("rig")
    assert [each.name for each in metadata.inputs] == ["numeric", "code"]
    assert list(metadata.outputs[0].shape) == [-1, 2]


def test_infer__without_key__is_unauthenticated(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="bearer") as caught:
        infer(client, inputs(), headers={})
    assert caught.value.status() == "StatusCode.UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (inputs()[:1], r"inputs.code: is required"),
        (inputs(value=float("nan")), r"rows\[0\].features.x0: must be a finite number"),
        (inputs(value=1e8), "must be at most"),
    ],
)
def test_infer__bad_rows__name_the_input_and_the_feature(
    client: Any, given: list[Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        infer(client, given)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_infer__model_fails__is_internal_and_counted(client: Any, site: Site) -> None:
    with pytest.raises(InferenceServerException, match="failed"):
        infer(client, inputs(code=99))
    eventually(lambda: [c.errors for b in site.batches() for c in b.counters] == [{"model": 1}])
