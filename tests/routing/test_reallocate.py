"""Changing who gets what."""

import pytest

from apps.events.errors import Invalid
from apps.events.models import Event
from apps.routing import services
from apps.routing.errors import (
    InvalidWeights,
    LeaseHeld,
    NoBackend,
    RevisionConflict,
)
from apps.routing.models import Endpoint, Generation, Phase
from serving import allocation
from tests.registry.factories import make_model, make_version
from tests.routing.factories import (
    canary,
    deployed,
    make_endpoint,
    operator,
    route,
    stable,
    told_of,
)

pytestmark = pytest.mark.django_db


def test_reallocate__first_time__opens_phase_one() -> None:
    endpoint = make_endpoint()
    generation = route(endpoint, stable(deployed(1)))
    endpoint.refresh_from_db()
    assert (generation.number, endpoint.revision) == (1, 1)
    assert endpoint.digest == generation.digest
    assert generation.phase.weights() == {"stable": 10_000}


def test_reallocate__again__closes_the_phase_before() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_500), canary(two, 500))
    first, second = endpoint.phases.order_by("number")
    assert first.ended_at == second.started_at
    assert second.ended_at is None


def test_reallocate__growing_canary__never_evicts() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    held: set[int] = set()
    for weight in (500, 2_000, 5_000, 10_000):
        phase = route(endpoint, stable(one, 10_000 - weight), canary(two, weight)).phase
        ranges = [item for item in phase.allocation() if item.variant == "canary"]
        buckets = {bucket for item in ranges for bucket in range(item.start, item.stop)}
        assert held <= buckets
        held = buckets


def test_reallocate__new_candidate_from_nothing__renews_salt() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    before = route(endpoint, stable(one)).phase.salt
    steps = stable(one, 9_500), canary(two, 500)
    assert route(endpoint, *steps, new_candidate=True).phase.salt != before


def test_reallocate__new_candidate_beside_another__keeps_salt() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    before = route(endpoint, stable(one, 5_000), canary(two, 5_000)).phase.salt
    steps = stable(one, 5_000), canary(deployed(3), 5_000)
    assert route(endpoint, *steps, new_candidate=True).phase.salt == before


def test_reallocate__next_step__keeps_salt() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    salt = route(endpoint, stable(one, 9_500), canary(two, 500)).phase.salt
    assert route(endpoint, stable(one, 8_000), canary(two, 2_000)).phase.salt == salt


def test_finish_ramp__candidate_at_95__moves_only_the_holdback() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one, 500), canary(two, 9_500))
    endpoint.refresh_from_db()
    generation = services.finish_ramp(
        actor=operator(),
        endpoint=endpoint,
        holder="",
        expected_revision=endpoint.revision,
        candidate="canary",
        reason="done",
    )
    assert generation.phase.variants[0]["version"] == two.version_key
    assert told_of(endpoint)["moved"] == 500


def test_reallocate__other_version_in_the_canary_role__inherits_nobody_silently() -> None:
    endpoint, one, two, three = make_endpoint(), deployed(1), deployed(2), deployed(3)
    route(endpoint, stable(one, 8_000), canary(two, 2_000))
    seen = services.preview(endpoint=endpoint, weights=[stable(one, 9_500), canary(three, 500)])
    assert seen.moves == {("flights/2", "flights/1"): 1_500, ("flights/2", "flights/3"): 500}


def test_reallocate__stale_revision__conflict() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    with pytest.raises(RevisionConflict) as caught:
        route(endpoint, stable(one), expected_revision=0)
    assert caught.value.field == "expected_revision"


def test_reallocate__leased_to_another__held() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder="rollout:a")
    with pytest.raises(LeaseHeld, match="rollout:a"):
        route(endpoint, stable(one), holder="")


def test_reallocate__holder_without_lease__held_by_nobody() -> None:
    with pytest.raises(LeaseHeld, match="nobody"):
        route(make_endpoint(), stable(deployed(1)), holder="rollout:a")


def test_reallocate__undeployed_version__no_backend() -> None:
    endpoint = make_endpoint()
    with pytest.raises(NoBackend) as caught:
        route(endpoint, stable(make_version(number=1, stage="production")))
    assert caught.value.field == "weights[0].version"


def test_reallocate__version_of_another_model__refused() -> None:
    endpoint, other = make_endpoint(), deployed(1, model=make_model("fraud"))
    with pytest.raises(InvalidWeights, match="not a version of flights"):
        route(endpoint, stable(other))


def test_reallocate__refused__leaves_nothing_behind() -> None:
    endpoint = make_endpoint()
    with pytest.raises(InvalidWeights, match="sum to 9000"):
        route(endpoint, stable(deployed(1), 9_000))
    assert not Phase.objects.exists()
    assert not Generation.objects.exists()
    assert Endpoint.objects.get().revision == 0


def test_reallocate__no_reason__asked_for() -> None:
    with pytest.raises(Invalid) as caught:
        route(make_endpoint(), stable(deployed(1)), reason=" ")
    assert caught.value.field == "reason"


def test_reallocate__done__tells_the_log() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_500), canary(two, 500), reason="try it")
    event = Event.objects.for_object("endpoint:flights")[0]
    assert (event.verb, event.reason) == ("endpoint.reallocated", "try it")
    after = told_of(endpoint)
    assert after["weights"] == {"stable": 9_500, "canary": 500}
    assert (after["generation"], after["phase"]) == (2, 2)


def test_preview__ramp__says_how_many_move() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one, 9_500), canary(two, 500))
    seen = services.preview(endpoint=endpoint, weights=[stable(one, 8_000), canary(two, 2_000)])
    assert seen.moved == 1_500
    assert Phase.objects.count() == 1


def test_generation__clock_set_back__order_kept() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    phase = route(endpoint, stable(one)).phase
    later = phase.started_at.replace(year=phase.started_at.year + 1)
    Phase.objects.filter(pk=phase.pk).update(started_at=later)
    assert route(endpoint, stable(one)).phase.started_at == later


def test_ranges__stored__cover_everything() -> None:
    phase = route(make_endpoint(), stable(deployed(1), 3_333), canary(deployed(2), 6_667)).phase
    allocation.check_ranges(phase.allocation())
