"""A cache that does not pay is switched off, and says so."""

import itertools

from benchmarks import rig
from contracts.policy import Cache, Policy
from tests.dataplane.gateway.site import Site, eventually


def test_cache__hardly_a_hit__is_switched_off_with_a_notice_and_tried_again(site: Site) -> None:
    site.serve(site.endpoint(policy=Policy(cache=Cache(shared=False))), GATEWAY_CACHE_JUDGED_S="1")
    numbers = itertools.count()

    def ask_for_news() -> bool:
        rows = [rig.example(x0=next(numbers)) for _ in range(250)]
        site.post("/v1/predict", {"model": "rig", "instances": rows}).json()
        return notices(site) == {"rig": 0.0}

    eventually(ask_for_news, 20)
    assert [site.predict().json()["cache_hit"] for _ in range(2)] == [False, False]
    assert "cache.switched_off" in site.log()
    eventually(lambda: notices(site) == {})
    assert [site.predict().json()["cache_hit"] for _ in range(2)] == [False, True]


def notices(site: Site) -> dict[str, float]:
    report = site.report()
    assert report is not None
    return report.caches_off
