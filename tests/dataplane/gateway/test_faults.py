"""Every fault of a refused request is counted, by feature and kind; the request once."""

from collections import Counter

from benchmarks import rig
from tests.dataplane.gateway.site import Site, eventually


def test_faults__of_one_request__are_each_counted_and_the_request_once(site: Site) -> None:
    site.serve()
    bad = rig.example(x0="a", x1=None, extra=1)
    body = {"model": "rig", "instances": [bad, bad, rig.example(x0="b")]}
    assert site.post("/v1/predict", body).status == 422
    eventually(lambda: counted(site)[0])
    requests, faults = counted(site)
    assert requests == {("feature_type", "x0"): 1}
    expected = {("feature_type", "x0"): 3, ("feature_null", "x1"): 2, ("feature_unknown", ""): 2}
    assert faults == expected
    text = site.get("/metrics").body.decode()
    name = "switchyard_gateway_invalid_features_total"
    assert f'{name}{{endpoint="rig",feature="x0",fault="type"}} 3' in text
    assert f'{name}{{endpoint="rig",feature="",fault="unknown"}} 2' in text
    assert "extra" not in text


def counted(site: Site) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Rejected requests and faults, by reason and feature."""
    requests: Counter[tuple[str, str]] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    for each in (rejected for batch in site.batches() for rejected in batch.rejected):
        requests[each.reason, each.feature] += each.count
        faults[each.reason, each.feature] += each.faults
    return +requests, +faults
