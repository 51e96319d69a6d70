"""A version with declared steps: raw features in, the model's own columns out, on every way in."""

from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton

from benchmarks import rig
from contracts.preprocessing import Clip, Impute, Ordinal, Standardise
from contracts.routing import EndpointSpec
from contracts.schema import FeatureSpec
from tests.dataplane.gateway.site import Reply, Site

CARRIERS = ("DL", "UA", "AA")
STEPS = (
    Impute(inputs=("x0",), values=(3.0,)),
    Standardise(inputs=("x0", "x1"), mean=(1.0, 0.0), scale=(2.0, 4.0)),
    Clip(inputs=("x2",), low=0.0, high=1.0),
    Ordinal(inputs=("carrier",), outputs=("code",), categories=(CARRIERS,), refuse=True),
)
FEATURES = (
    FeatureSpec(name="x0", kind="float", required=False, nullable=True),
    *(FeatureSpec(name=name, kind="float") for name in rig.NUMBERS[1:]),
    FeatureSpec(name="carrier", kind="string", categories=CARRIERS),
)


PREPARED = msgspec.structs.replace(rig.SCHEMA, features=FEATURES, preprocessing=STEPS)


def prepared(site: Site) -> EndpointSpec:
    """The rig's model behind steps that make all that it takes."""
    return rig.endpoint([rig.variant(1, site.triton, schema=PREPARED)], name="prepared")


@pytest.fixture(scope="module")
def both(served: Site) -> Site:
    """The model as it is, and behind its steps."""
    served.publish(served.endpoint(), prepared(served))
    return served


def ask(site: Site, **features: Any) -> Reply:
    row = {name: value for name, value in rig.example().items() if name != "code"} | features
    return site.post("/v1/predict", {"model": "prepared", "features": row})


def score(reply: Reply) -> float:
    assert reply.status == 200, reply.body
    return float(reply.json()["prediction"])


def test_predict__raw_features__equal_the_prepared_ones(both: Site) -> None:
    raw = score(ask(both, x0=5.0, x1=8.0, x2=7.5, carrier="AA"))
    assert raw == pytest.approx(score(both.predict(x0=2.0, x1=2.0, x2=1.0, code=2)))


def test_predict__missing__is_imputed_before_it_is_scaled(both: Site) -> None:
    missing = score(ask(both, x0=None, x1=0.0, x2=0.0, carrier="DL"))
    assert missing == pytest.approx(score(both.predict(x0=1.0, x1=0.0, x2=0.0, code=0)))


def test_predict__category_that_the_steps_refuse__is_the_clients_fault(both: Site) -> None:
    reply = ask(both, carrier="ZZ")
    assert (reply.status, reply.paths()) == (422, ["$.features.carrier"])


def test_infer__with_preprocessing__takes_one_tensor_per_raw_feature(both: Site) -> None:
    rows = {name: np.full((2, 1), 0.5) for name in rig.NUMBERS}
    given = [tensor(name, values, "FP64") for name, values in rows.items()]
    carriers = np.array([["UA"], ["AA"]], dtype=object)
    headers = {"authorization": f"Bearer {rig.CLIENT_KEY}"}
    with triton.InferenceServerClient(both.environment["GATEWAY_GRPC_URL"]) as client:
        metadata = client.get_model_metadata("prepared", headers=headers)
        answer = client.infer(
            "prepared", [*given, tensor("carrier", carriers, "BYTES")], headers=headers
        )
    assert [each.name for each in metadata.inputs] == [*rig.NUMBERS, "carrier"]
    found = answer.as_numpy("probabilities")[:, 1]
    alone = [score(ask(both, **dict.fromkeys(rig.NUMBERS, 0.5), carrier=c)) for c in ("UA", "AA")]
    assert found == pytest.approx(alone)


def tensor(name: str, values: Any, datatype: str) -> Any:
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made
