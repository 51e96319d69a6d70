"""The fixed runtime inside a real Triton, asked over gRPC as the gateway does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from tests.dataplane.triton.conftest import Site

Floats = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def client(lasting_site: Site) -> Iterator[InferenceServerClient]:
    lasting_site.put("runtime-v1", lasting_site.upload("runtime-v1"))
    lasting_site.wait_for("runtime-v1", "ready")
    opened = InferenceServerClient(f"127.0.0.1:{lasting_site.services.ports['TRITON_GRPC']}")
    yield opened
    opened.close()


def ask(client: InferenceServerClient, rows: list[int], carriers: list[str]) -> Floats:
    """p of class 1 for rows of (a = 0, b = 0, row, carrier)."""
    count = len(rows)
    tensors: dict[tuple[str, str], Floats] = {
        ("x", "FP32"): np.zeros((count, 2), dtype=np.float32),
        ("row", "INT64"): np.array(rows, dtype=np.int64).reshape(-1, 1),
        ("carrier", "BYTES"): np.array(carriers, dtype=object).reshape(-1, 1),
    }
    inputs = []
    for (name, datatype), values in tensors.items():
        item = InferInput(name, list(values.shape), datatype)
        item.set_data_from_numpy(values)
        inputs.append(item)
    answer = client.infer("runtime-v1", inputs, client_timeout=10)
    found: Floats = np.asarray(answer.as_numpy("probabilities"))[:, 1]
    return found


def sigmoid(values: list[float]) -> Floats:
    expected: Floats = 1 / (1 + np.exp(-np.array(values)))
    return expected


def test_runtime__batch_of_rows__answers_each_row(client: InferenceServerClient) -> None:
    found = ask(client, [0, 1, 2], ["AA", "UA", "??"])
    np.testing.assert_allclose(found, sigmoid([1.0, 3.0, 2.0]), rtol=1e-5)


def test_runtime__full_batch__answered(client: InferenceServerClient) -> None:
    assert ask(client, [0] * 64, ["AA"] * 64).shape == (64,)


def test_runtime__row_that_the_graph_refuses__is_an_error_and_the_next_is_served(
    client: InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="out of data bounds"):
        ask(client, [99], ["AA"])
    np.testing.assert_allclose(ask(client, [0], ["AA"]), sigmoid([1.0]), rtol=1e-5)


def test_runtime__bad_request_beside_good_ones__fails_alone(lasting_site: Site) -> None:
    """Many callers at once, so that Triton joins their requests into one batch."""
    address = f"127.0.0.1:{lasting_site.services.ports['TRITON_GRPC']}"

    def one(number: int) -> bool:
        with InferenceServerClient(address) as own:
            try:
                ask(own, [99 if number % 8 == 0 else 1], ["AA"])
            except InferenceServerException:
                return False
            return True

    with ThreadPoolExecutor(16) as pool:
        answered = list(pool.map(one, range(64)))
    assert answered == [number % 8 != 0 for number in range(64)]
