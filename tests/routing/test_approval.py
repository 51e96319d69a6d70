"""Routing an unapproved version is refused by every way there is."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing import services, subscribers
from apps.routing.errors import VersionNotApproved
from apps.routing.models import Generation
from apps.routing.services import VariantWeight
from tests.routing.factories import (
    canary,
    deployed,
    make_endpoint,
    operator,
    restore,
    route,
    shadow,
    stable,
)

pytestmark = pytest.mark.django_db


def archive(version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(stage="archived", allowance="none")


@pytest.mark.parametrize("stage", ["dev", "staging", "archived"])
@pytest.mark.parametrize("holder", ["", "rollout:1", "experiment:1"])
def test_reallocate__unapproved__refused_whoever_asks(stage: str, holder: str) -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2, stage=stage)
    if holder:
        services.acquire_lease(actor=operator_of(holder), endpoint=endpoint, holder=holder)
    with pytest.raises(VersionNotApproved) as caught:
        route(endpoint, stable(one, 9_999), canary(two, 1), actor=operator_of(holder))
    assert caught.value.field == "weights[1].version"
    assert not Generation.objects.exists()


def operator_of(holder: str) -> Any:
    from apps.accounts.access import system

    return system("test") if holder else operator()


def test_reallocate__caller_holds_a_stale_approval__refused() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    archive(one)
    assert one.stage == "production"
    with pytest.raises(VersionNotApproved):
        route(endpoint, stable(one))


def test_reallocate__content_changed_since_approval__refused() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    ModelVersion.objects.filter(pk=one.pk).update(decision_threshold=0.9)
    with pytest.raises(VersionNotApproved):
        route(endpoint, stable(one))


def test_weights_api__unapproved__problem_names_the_version(api: APIClient) -> None:
    make_endpoint()
    deployed(1, stage="staging")
    weights = [{"variant": "stable", "role": "stable", "version": "1", "weight": 10_000}]
    body = {"expected_revision": 0, "weights": weights, "reason": "x"}
    answer = api.put("/api/v1/endpoints/flights/weights", body, format="json")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:switchyard:problem:version-not-approved"
    assert answer.json()["errors"][0]["path"] == "$.weights[0].version"


def test_preview__unapproved__refused() -> None:
    endpoint, one = make_endpoint(), deployed(1, stage="dev")
    with pytest.raises(VersionNotApproved):
        services.preview(endpoint=endpoint, weights=[stable(one)])


def test_restore__version_lost_its_approval__refused() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one, 9_000), canary(two, 1_000))
    route(endpoint, stable(one))
    archive(two)
    with pytest.raises(VersionNotApproved, match="phase 1") as caught:
        restore(endpoint, 1)
    assert caught.value.field == "phase"


def test_restore_api__version_lost_its_approval__refused(api: APIClient) -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(two))
    route(endpoint, stable(one))
    archive(two)
    body = {"phase": 1, "expected_revision": 2, "reason": "x"}
    answer = api.post("/api/v1/endpoints/flights/restore", body, format="json")
    assert answer.status_code == 409


def test_finish_ramp__candidate_lost_its_approval__refused() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one, 500), canary(two, 9_500))
    archive(two)
    with pytest.raises(VersionNotApproved):
        services.finish_ramp(
            actor=operator(),
            endpoint=endpoint,
            holder="",
            expected_revision=1,
            candidate="canary",
            reason="x",
        )


def test_new_address__unapproved_version_in_phase__not_published_again() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    archive(one)
    with pytest.raises(VersionNotApproved):
        services.register_backend(
            actor=operator(), version=one, entry="flights-v1", addresses=["127.0.0.1:2"]
        )


@pytest.mark.parametrize("role", ["stable", "canary", "arm", "fallback"])
def test_reallocate__staging_version_with_no_weight__still_refused(role: str) -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2, stage="staging")
    other = VariantWeight(key="main", role="arm", version=one, weight=10_000)
    idle = VariantWeight(key="idle", role=role, version=two, weight=0)  # type: ignore[arg-type]  # each role in turn
    with pytest.raises(VersionNotApproved):
        route(endpoint, other, idle)


def test_reallocate__staging_version_as_shadow__allowed() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2, stage="staging")
    phase = route(endpoint, stable(one), shadow(two)).phase
    assert phase.weights() == {"stable": 10_000, "shadow": 0}


def test_reallocate__deprecated_version__still_serves() -> None:
    assert route(make_endpoint(), stable(deployed(1, stage="deprecated"))).number == 1


def test_archived_while_it_serves__recorded_once() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    archive(one)
    event = Event(verb="version.archived", object_key=one.key, after={})
    subscribers.watch_approval(event)
    subscribers.watch_approval(event)
    told = Event.objects.filter(verb="endpoint.unapproved_traffic")
    assert [item.after for item in told] == [
        {"version": "flights/1", "phase": 1, "stage": "archived", "attention": True}
    ]


def test_staging_shadow__approval_event__nothing_to_say() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2, stage="staging")
    route(endpoint, stable(one), shadow(two))
    for version in (one, two):
        assert services.report_unapproved_traffic(version=version) == 0


def test_promotion_event__without_a_version__ignored() -> None:
    subscribers.watch_approval(Event(verb="promotion.approved", object_key="promotion:1"))
    subscribers.watch_approval(Event(verb="version.archived", object_key="version:ghost/1"))
