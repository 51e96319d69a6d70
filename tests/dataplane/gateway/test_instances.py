"""POST /v1/predict with a list: a prediction for each, each fault of each, one bad row alone."""

from typing import Any

import pytest

from benchmarks import rig
from tests.dataplane.gateway.site import Reply, Site


def ask(site: Site, *instances: Any, **changes: Any) -> Reply:
    body = {"model": "rig", "instances": list(instances), "user_id": "u1", **changes}
    return site.post("/v1/predict", body)


def test_instances__good_rows__have_a_prediction_each(served: Site) -> None:
    rows = [rig.example(x0=number) for number in range(40)]
    reply = ask(served, *rows)
    answer = reply.json()
    assert (reply.status, answer["failed"], answer["generation"]) == (200, 0, 1)
    singles = [served.predict(x0=number).json()["prediction"] for number in range(3)]
    assert [each["prediction"] for each in answer["predictions"][:3]] == singles
    assert len({each["prediction_id"] for each in answer["predictions"]}) == 40
    assert {each["variant"] for each in answer["predictions"]} == {"stable"}


def test_instances__one_that_the_model_fails_on__fails_alone(served: Site) -> None:
    reply = ask(served, rig.example(), rig.example(code=99), rig.example())
    good, bad, also_good = reply.json()["predictions"]
    assert (reply.status, reply.json()["failed"]) == (200, 1)
    assert good["prediction"] == also_good["prediction"]
    assert bad["problem"]["status"] == 502
    assert bad["problem"]["type"] == "urn:switchyard:problem:prediction_failed_model"


def test_instances__all_fail__is_the_problem_of_the_first(served: Site) -> None:
    reply = ask(served, rig.example(code=99), rig.example(code=98))
    assert (reply.status, reply.json()["status"]) == (502, 502)


def test_instances__faults_in_several_rows__are_all_listed(served: Site) -> None:
    missing = rig.example()
    del missing["x3"]
    bad = rig.example(x0="high", carrier="ZZ", extra=1)
    reply = ask(served, rig.example(), bad, 7, missing)
    assert reply.status == 422
    assert reply.paths() == [
        "$.instances[1].x0",
        "$.instances[1].carrier",
        "$.instances[1].extra",
        "$.instances[2]",
        "$.instances[3].x3",
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"instances": []}, "$.instances"),
        ({"instances": {}}, "$.instances"),
        ({"instances": None}, "$.instances"),
        ({"instances": [{}] * 257}, "$.instances"),
        ({"features": {}}, "$.instances"),
        ({"rows": []}, "$.rows"),
    ],
)
def test_instances__wrong_form__names_the_field(
    served: Site, changes: dict[str, Any], path: str
) -> None:
    reply = ask(served, rig.example(), **changes)
    assert (reply.status, reply.paths()) == (422, [path])


def test_instances__nan_among_them__names_its_place(served: Site) -> None:
    reply = ask(served, rig.example(), rig.example(x1=float("nan")))
    assert (reply.status, reply.paths()) == (422, ["$.instances[1].x1"])


def test_instances__one_client_not_known__is_401(served: Site) -> None:
    body = {"model": "rig", "instances": [rig.example()]}
    assert served.post("/v1/predict", body, key="wrong").status == 401
