"""The way back is exact."""

from collections.abc import Sequence

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.routing.errors import NoBackend
from apps.routing.models import Backend, Phase
from apps.routing.selectors import read_spec
from tests.routing.factories import (
    canary,
    deployed,
    make_endpoint,
    restore,
    route,
    shadow,
    stable,
    told_of,
)

pytestmark = pytest.mark.django_db


def same(one: Phase, other: Phase) -> bool:
    return (one.ranges, one.salt, one.variants) == (other.ranges, other.salt, other.variants)


def test_restore__after_another_candidate__ranges_and_salt_exact() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    target = route(endpoint, stable(one, 9_500), canary(two, 500), new_candidate=True).phase
    route(endpoint, stable(two))
    route(endpoint, stable(two, 9_000), canary(deployed(3), 1_000), new_candidate=True)
    restored = restore(endpoint, target.number)
    assert same(restored.phase, target)
    assert restored.phase.restored_from == target.number
    spec = read_spec(restored.digest)
    assert (spec.salt, spec.ranges) == (target.salt, target.allocation())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weights=st.lists(st.integers(0, 10_000), min_size=1, max_size=4))
def test_restore__any_way_there__ranges_exact(weights: Sequence[int]) -> None:
    with transaction.atomic():
        endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
        target = route(endpoint, stable(one, 9_000), canary(two, 1_000)).phase
        for weight in weights:
            route(endpoint, stable(one, 10_000 - weight), canary(two, weight))
        assert same(restore(endpoint, 1).phase, target)
        transaction.set_rollback(True)


def test_restore__during_a_rollout__belongs_to_no_rollout() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one), rollout_key="rollout:old")
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000), rollout_key="rollout:new")
    phase = restore(endpoint, 1).phase
    assert (phase.rollout_key, phase.experiment_key, phase.guardrails) == ("", "", [])


def test_restore__shadow_phase__shadow_again() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    target = route(endpoint, stable(one), shadow(deployed(2, stage="staging"))).phase
    route(endpoint, stable(one))
    assert same(restore(endpoint, 1).phase, target)


def test_restore__version_unloaded_since__refused() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(two))
    route(endpoint, stable(one))
    Backend.objects.filter(version=two).update(state="gone")
    with pytest.raises(NoBackend, match="phase 1"):
        restore(endpoint, 1)


def test_restore__done__log_names_the_phase() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000))
    restore(endpoint, 1)
    told = told_of(endpoint)
    assert (told["restored_from"], told["phase"], told["moved"]) == (1, 3, 1_000)
