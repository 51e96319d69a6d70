"""What a model does wrong is told apart by row, counted by kind, and held against its version."""

import asyncio
import time
from typing import Any

import httpx
import msgspec
import pytest

from benchmarks import rig
from contracts.routing import OVERRIDES_KEY, Guardrail, Limits, Override
from serving.guardrail import Guardrail as Wealth
from tests.dataplane.gateway.site import Site, eventually

GUARDRAIL = Guardrail(rollout="r1", candidate="canary", baseline="stable", alpha=0.01)


async def together(site: Site, *rows: dict[str, Any]) -> list[httpx.Response]:
    """Ask for all rows at once."""
    headers = {"Authorization": f"Bearer {rig.CLIENT_KEY}"}
    url = f"http://127.0.0.1:{site.port}/v1/predict"
    async with httpx.AsyncClient(headers=headers, timeout=10) as client:
        bodies = [
            {"model": "rig", "features": rig.example(**row), "user_id": f"u{number}"}
            for number, row in enumerate(rows)
        ]
        return await asyncio.gather(*(client.post(url, json=body) for body in bodies))


async def test_batch__one_poisoned_row__fails_alone(site: Site) -> None:
    site.serve(site.endpoint(limits=Limits(max_delay_ms=50)))
    rows: list[dict[str, Any]] = [{"code": 99 if number == 7 else 1} for number in range(30)]
    for _ in range(3):
        replies = await together(site, *rows)
        assert [reply.status_code for reply in replies] == [200] * 7 + [502] + [200] * 22
    counters = [counter for batch in site.batches() for counter in batch.counters]
    assert max(counter.batch_rows / counter.batches for counter in counters) > 1


async def test_batch__one_row_with_an_invalid_output__fails_alone(site: Site) -> None:
    site.serve()
    replies = await together(site, {}, {"code": rig.NAN_CODE}, {})
    assert [reply.status_code for reply in replies] == [200, 502, 200]
    assert "invalid_output" in replies[1].json()["type"]


def test_answer__unreachable_triton__is_503_with_retry_after(site: Site) -> None:
    site.serve(rig.endpoint([rig.variant(1, "127.0.0.1:9")]))
    reply = site.predict()
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert site.get("/readyz").status == 503


def test_answer__hanging_server__is_504_at_the_deadline_and_counted_as_timeout(site: Site) -> None:
    site.serve(site.endpoint(limits=Limits(deadline_ms=200)))
    with site.hanging_triton():
        asked_at = time.monotonic()
        assert site.predict().status == 504
        assert 0.2 <= time.monotonic() - asked_at < 0.5
    eventually(lambda: kinds(site) == {"timeout"})
    eventually(lambda: site.predict().status == 200)


async def test_queue__full__answers_429_at_once_and_counts_no_prediction(site: Site) -> None:
    site.serve(site.endpoint(limits=Limits(max_queue=1, max_batch=1)))
    replies = await together(site, *[{} for _ in range(60)])
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert refused[0].headers["Retry-After"] == "1"
    eventually(lambda: site.requests_counted() == 60 - len(refused))


def kinds(site: Site) -> set[str]:
    return {
        kind for batch in site.batches() for counter in batch.counters for kind in counter.errors
    }


def fail_canary(site: Site) -> None:
    """Requests of many users; the canary fails them all until it is withdrawn."""
    for number in range(200):
        user = f"user-{number}"
        variant = site.predict(user).json()["variant"]
        if variant == "canary" and site.predict(user, code=99).status == 200:
            return
        if number > 20 and site.predict("user-0", version=None) and withdrawn(site):
            return


def withdrawn(site: Site) -> bool:
    return "overrides 1" in site.get("/metrics").body.decode()


def reported(site: Site) -> Override:
    """The override of the canary, once the gateway has told of it."""
    eventually(lambda: site.redis.hexists(OVERRIDES_KEY, "gateway-1:r1:canary"))
    found = site.redis.hget(OVERRIDES_KEY, "gateway-1:r1:canary")
    return msgspec.json.decode(found, type=Override)  # type: ignore[arg-type]  # redis-py


def test_guardrail__candidate_fails__withdraws_it_and_serves_the_baseline(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    fail_canary(site)
    assert {site.predict(f"user-{number}").json()["variant"] for number in range(40)} == {"stable"}
    withdrawn_at = reported(site).at
    failures = [failure for batch in site.batches() for failure in batch.failures]
    # Evidence counts a moment after it was seen: somebody may have been moved before we knew.
    assert {each.variant for each in failures if each.at < withdrawn_at} == {"canary"}
    assert {failure.share for failure in failures} == {0.2}
    assert len({failure.unit for failure in failures}) == len(failures)


@pytest.mark.proof
def test_guardrail__evidence_crosses__withdraws_within_a_tenth_of_a_second(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    fail_canary(site)
    withdrawn_at = reported(site).at
    wealth = Wealth(alpha=GUARDRAIL.alpha)
    seen = sorted((each for batch in site.batches() for each in batch.failures), key=lambda f: f.at)
    crossed_at = next(
        each.at
        for each in seen
        if wealth.observe(each.variant == "canary", each.share) >= 1 / GUARDRAIL.alpha
    )
    print(f"withdrawn_after_ms={(withdrawn_at - crossed_at) * 1_000:.1f}")
    assert withdrawn_at - crossed_at <= 0.1


def test_guardrail__both_fail_alike__withdraws_nobody(site: Site) -> None:
    site.serve(site.canary(5_000, guardrails=(GUARDRAIL,)))
    for number in range(80):
        site.predict(f"user-{number}", code=99)
    assert not withdrawn(site)


def test_override__newer_generation_and_restart__stays_until_acknowledged(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    fail_canary(site)
    site.publish(site.canary(5_000, guardrails=(GUARDRAIL,), phase=2))
    assert withdrawn(site)
    eventually(lambda: list((site.state / "overrides").glob("*.json")))
    site.kill()
    site.start()
    assert withdrawn(site)
    acknowledged = site.canary(
        2_000, guardrails=(GUARDRAIL,), phase=3, acknowledged_overrides=("r1:canary",)
    )
    site.publish(acknowledged)
    assert not withdrawn(site)
    assert not list((site.state / "overrides").glob("*.json"))


def test_override__rollout_left_behind__is_lifted(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    fail_canary(site)
    site.publish(site.canary(2_000, rollout="r2"))
    assert not withdrawn(site)


def test_override__reported__says_what_and_why(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    fail_canary(site)
    override = reported(site)
    assert override.fallback_to == "stable"
    assert override.wealth >= 100
    report = site.report()
    assert report is not None
    eventually(lambda: "r1:canary" in (site.report() or report).overrides)


def test_guardrail__redis_and_control_plane_away__still_withdraws(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(GUARDRAIL,)))
    site.stop()
    site.start(REDIS_URL="redis://127.0.0.1:9/0")
    fail_canary(site)
    assert withdrawn(site)
    site.stop()
    site.start()
    eventually(lambda: site.redis.hexists(OVERRIDES_KEY, "gateway-1:r1:canary"))
