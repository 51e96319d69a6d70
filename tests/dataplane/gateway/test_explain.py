"""POST /v1/explain: a gateway asks the explainer beside the version that a unit gets.

Deadlines are those of the product, from the first explanation after a load on.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks import rig
from contracts.policy import Ensemble, Policy
from contracts.routing import Limits
from embedded.private import PrivateServices
from tests.dataplane.gateway.looking import LOOKED_UP, LOOKUP
from tests.dataplane.gateway.site import Reply, Site, eventually
from tests.dataplane.gateway.test_predict import late
from tests.dataplane.gateway.test_preprocessing import PREPARED

ENTRY = "rig-v1-explain"


@pytest.fixture(scope="module")
def explained(served: Site, parts: PrivateServices) -> Iterator[Site]:
    """A gateway with an explainer beside version 1 that has just been loaded."""
    entry = rig.install_explainer(served.environment, 1, bias=1)
    served.publish(endpoint(served, entry))
    yield served
    served.publish(served.endpoint())


def endpoint(site: Site, entry: str, **changes: Any) -> Any:
    stable = rig.variant(1, site.triton, explainer=entry)
    return rig.endpoint([stable], **changes)


def explain(site: Site, **changes: Any) -> Reply:
    """An explanation of the example's features; `changes` to the envelope."""
    body = {"model": "rig", "features": rig.example(), "user_id": "u1", **changes}
    return site.post("/v1/explain", body)


def assert_adds_up(answer: Any) -> None:
    total = answer["base_value"] + sum(answer["contributions"].values())
    assert total == pytest.approx(answer["prediction"], abs=1e-6)


def test_explain__first_after_the_load__adds_up_to_the_prediction(explained: Site) -> None:
    answer = explain(explained).json()
    assert_adds_up(answer)
    assert answer["prediction"] == pytest.approx(late(1.0), abs=1e-6)
    assert answer["prediction"] == pytest.approx(explained.predict().json()["prediction"])


def test_explain__good_request__has_every_field_of_the_contract(explained: Site) -> None:
    answer = explain(explained).json()
    contributions = answer.pop("contributions")
    sizes = [abs(value) for value in contributions.values()]
    assert set(contributions) == set(rig.example())
    assert sizes == sorted(sizes, reverse=True)
    assert contributions["carrier"] == 0.0  # the model does not look at it
    for name in ("prediction", "base_value", "latency_ms", "generation"):
        assert answer.pop(name) > 0
    assert answer == {
        "model": "rig",
        "model_version": "1.0.0",
        "variant": "stable",
        "output": "probability of late",
        "method": "permutation",
    }


def test_explain__list_of_instances__each_as_if_alone_and_bad_ones_apart(explained: Site) -> None:
    rows = [rig.example(x0=value) for value in (0.5, 2.0)]
    good = [explain(explained, features=row).json() for row in rows]
    bad = rig.example(code=rig.NAN_CODE)
    found = ask_for(explained, [*rows, bad]).json()
    assert (found["failed"], found["generation"]) == (1, good[0]["generation"])
    *made, failed = found["explanations"]
    for one, alone in zip(made, good, strict=True):
        assert_adds_up(one)
        assert one["contributions"] == alone["contributions"]
    assert (list(failed), failed["problem"]["status"]) == (["problem"], 502)
    assert ask_for(explained, [bad, bad]).status == 502
    assert ask_for(explained, [rows[0], {}]).paths()[0].startswith("$.instances[1].")


def ask_for(site: Site, instances: list[dict[str, Any]]) -> Reply:
    return site.post("/v1/explain", {"model": "rig", "instances": instances, "user_id": "u1"})


def test_explain__features_looked_up__are_explained_with_what_the_store_has(
    explained: Site,
) -> None:
    explained.publish(endpoint(explained, ENTRY, policy=Policy(lookup=LOOKUP)))
    mapping: dict[Any, Any] = {"x7": 4.0, "code": 2, "carrier": "DL"}
    explained.redis.hset("user:u1", mapping=mapping)
    whole = rig.example(**mapping)
    sent = {name: value for name, value in whole.items() if name not in LOOKED_UP}
    answer, known = explain(explained, features=sent).json(), explain(explained, features=whole)
    explained.publish(endpoint(explained, ENTRY))
    assert_adds_up(answer)
    assert abs(answer["contributions"]["x7"]) > 0.1
    assert answer["contributions"] == known.json()["contributions"]


@pytest.mark.proof
def test_explain__with_preprocessing__contributions_are_of_the_features_as_sent(
    explained: Site,
) -> None:
    entry = rig.install_explainer(
        explained.environment, 1, bias=1, schema=PREPARED, name="prepared"
    )
    behind = rig.variant(1, explained.triton, schema=PREPARED, explainer=entry)
    prepared = rig.endpoint([behind], name="prepared")
    explained.publish(endpoint(explained, ENTRY), prepared)
    row = {name: value for name, value in rig.example(x1=8.0).items() if name != "code"}
    answers = [
        explain(explained, model="prepared", features=each).json()
        for each in (row | {"x0": None}, row | {"x0": 3.0}, row | {"x2": 9.0})
    ]
    for answer in answers:
        assert_adds_up(answer)
        assert set(answer["contributions"]) == {*rig.NUMBERS, "carrier"}
    missing, imputed, clipped = answers
    assert missing["contributions"] == imputed["contributions"]
    inside = {"model": "prepared", "features": row | {"x2": 1.0}, "user_id": "u1"}
    served = explained.post("/v1/predict", inside).json()
    assert clipped["prediction"] == pytest.approx(served["prediction"], abs=1e-6)


def test_explain__asked_twice__same_contributions(explained: Site) -> None:
    one, other = explain(explained).json(), explain(explained).json()
    assert one["contributions"] == other["contributions"]


@pytest.mark.parametrize("name", ["on_time", 0, "0"])
def test_explain__other_class__mirrors_the_first(explained: Site, name: object) -> None:
    late, on_time = explain(explained).json(), explain(explained, **{"class": name}).json()
    assert on_time["output"] == "probability of on_time"
    assert on_time["contributions"]["x7"] == pytest.approx(-late["contributions"]["x7"])


@pytest.mark.parametrize(
    ("changes", "status", "paths"),
    [
        ({"class": "never"}, 422, ["$.class"]),
        ({"class": [1]}, 422, ["$.class"]),
        ({"klass": 1}, 422, ["$.klass"]),
        ({"model": "nowhere"}, 404, ["$.model"]),
        ({"version": "9"}, 404, ["$.version"]),
        ({"features": {"x0": "a"}}, 422, None),
    ],
)
def test_explain__request_that_does_not_fit__names_the_fault(
    explained: Site, changes: dict[str, object], status: int, paths: list[str] | None
) -> None:
    reply = explain(explained, **changes)
    assert reply.status == status
    assert paths is None or reply.paths() == paths


def test_explain__no_key__401(explained: Site) -> None:
    assert explained.post("/v1/explain", {}, key="").status == 401


def test_explain__version_without_explainer__409_says_why(explained: Site) -> None:
    variants = [
        rig.variant(1, explained.triton),
        rig.variant(
            2, explained.triton, key="both", ensemble=Ensemble(combine="mean", members=("stable",))
        ),
    ]
    explained.publish(rig.endpoint(variants, name="plain"))
    plain, both = explain(explained, model="plain"), explain(explained, model="plain", version=2)
    explained.publish(endpoint(explained, ENTRY))
    assert (plain.status, both.status) == (409, 409)
    assert "no background sample" in plain.json()["detail"]
    assert "combines several models" in both.json()["detail"]


def test_explain__output_without_a_sum__502_says_so(explained: Site) -> None:
    reply = explain(explained, features=rig.example(code=rig.NAN_CODE))
    assert reply.status == 502
    assert "do not add up" in reply.json()["detail"]


def test_explain__more_than_the_queue_holds__429_and_predictions_go_on(explained: Site) -> None:
    limits = Limits(explain_queue=1, explain_deadline_ms=300)
    explained.publish(endpoint(explained, ENTRY, limits=limits))
    with explained.hanging_triton(), ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: explain(explained), range(4)))
    explained.publish(endpoint(explained, ENTRY))
    assert sorted(reply.status for reply in replies) == [429, 429, 504, 504]
    assert all("Retry-After" in reply.headers for reply in replies)
    eventually(lambda: explained.predict().status == 200)


def counted(site: Site, family: str) -> float:
    """The sum over all labels of a family of metrics."""
    lines = site.get("/metrics").body.decode().splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(family + "{"))


def test_explain__answers__are_counted_but_not_as_predictions(explained: Site) -> None:
    families = ("switchyard_gateway_explanations_total", "switchyard_gateway_predictions_total")
    before = [counted(explained, family) for family in families]
    explain(explained)
    explain(explained, model="nowhere")
    after = [counted(explained, family) for family in families]
    assert after == [before[0] + 2, before[1]]
