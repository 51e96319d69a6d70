"""Deployments onto a real Triton through a real puller, with the store or the puller away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.deployments import services
from apps.deployments.drivers import driver_of
from apps.deployments.errors import AlreadyDeploying, TransitionRefused
from apps.deployments.models import Deployment, Target
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing.errors import BackendInUse, LeaseHeld, VersionNotApproved
from apps.routing.models import Backend, Endpoint
from apps.routing.selectors import get_endpoint
from apps.routing.services import acquire_lease
from embedded.private import PrivateServices
from tests.dataplane.triton.conftest import start_puller, wait_until
from tests.registry.factories import make_version
from tests.registry.onnx_models import late_model
from tests.routing.factories import deployed, make_endpoint, operator, route, stable

pytestmark = pytest.mark.django_db(transaction=True)
FINISHED = ("healthy", "failed")


@pytest.fixture(scope="module")
def puller(
    services: PrivateServices,
    s3: str,
    triton: str,  # the fixture, not the module
) -> Iterator[None]:
    """A puller that trusts this control plane."""
    running = start_puller(services, keys={})
    yield
    running.stop()


def version(number: int, *, stage: str = "production", **fields: Any) -> ModelVersion:
    return make_version(number=number, stage=stage, store=True, **fields)


def advance(deployment: Deployment) -> Deployment:
    return services.advance_deployment(deployment_id=deployment.pk, now=timezone.now())


def finish(deployment: Deployment) -> Deployment:
    """Tick until the deployment has come to an end."""
    found: Deployment = wait_until(
        lambda: advance(deployment), lambda seen: seen.state in FINISHED, seconds=60
    )
    return found


def deploy(wanted: ModelVersion, **options: Any) -> Deployment:
    return services.deploy(actor=operator(), version=wanted, **options)


def nowhere() -> Target:
    """A target where nothing listens."""
    server = {"puller_url": "http://127.0.0.1:9", "grpc_address": "127.0.0.1:9"}
    return Target.objects.create(name="nowhere", settings={"servers": [server]})


def weights() -> dict[str, int]:
    phase = get_endpoint("flights").phase
    assert phase is not None
    return {variant["version"]: variant["weight"] for variant in phase.variants}


def test_deploy__approved_version__loaded_tested_and_registered(puller: None) -> None:
    done = finish(deploy(version(1)))
    assert (done.state, done.error, done.progress) == ("healthy", "", 1.0)
    backend = Backend.objects.get(version=done.version)
    assert (backend.entry, backend.state) == ("flights-v1", "ready")
    told = Event.objects.for_object(done.key).order_by("id").values_list("verb", flat=True)
    assert list(told) == [
        "deployment.requested",
        "deployment.loading",
        "deployment.testing",
        "deployment.healthy",
    ]


def test_deploy__all_traffic_and_no_endpoint__makes_it(puller: None) -> None:
    finish(deploy(version(2), traffic_percentage=100))
    assert weights() == {"flights/2": 10_000}


def test_deploy__a_share_beside_an_incumbent__splits(puller: None) -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    finish(deploy(version(3), traffic_percentage=20))
    assert weights() == {"flights/1": 8_000, "flights/3": 2_000}


def test_deploy__endpoint_leased_meanwhile__healthy_without_traffic(puller: None) -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    started = deploy(version(4), traffic_percentage=20)
    acquire_lease(actor=operator(), endpoint=endpoint, holder="rollout:other")
    done = finish(started)
    assert done.state == "healthy"
    assert "is held by rollout:other" in Deployment.objects.get(pk=done.pk).error
    assert weights() == {"flights/1": 10_000}


def test_deploy__endpoint_leased__refused_at_once() -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    acquire_lease(actor=operator(), endpoint=endpoint, holder="rollout:other")
    with pytest.raises(LeaseHeld):
        deploy(make_version(number=2, stage="production"), traffic_percentage=20)


def test_deploy__model_that_answers_rubbish__fails_on_the_test_prediction(puller: None) -> None:
    done = finish(deploy(version(5, artifact=late_model(scale=3.0))))
    assert (done.state, done.error) == (
        "failed",
        "the test prediction gave values that are no valid output",
    )
    assert not Backend.objects.filter(version=done.version).exists()


def test_deploy__model_that_cannot_be_loaded__fails_with_tritons_words(puller: None) -> None:
    done = finish(deploy(version(6, artifact=b"no graph at all")))
    assert done.state == "failed"
    assert "ONNXRuntimeError" in done.error


def test_deploy__artifact_changed_in_the_store__never_loaded(puller: None) -> None:
    changed = version(7)
    make = {"artifact_digest": "0" * 64}
    ModelVersion.objects.filter(pk=changed.pk).update(**make)
    changed.refresh_from_db()
    ModelVersion.objects.filter(pk=changed.pk).update(approved_digest=changed.content_digest())
    done = finish(deploy(ModelVersion.objects.get(pk=changed.pk)))
    assert done.state == "failed"
    assert "does not match its signed digest" in done.error


def test_deploy__without_a_logged_example__tested_with_a_row_of_the_schema(puller: None) -> None:
    assert finish(deploy(version(8, example=[]))).state == "healthy"


def test_deploy__again_with_more_replicas__supersedes(puller: None) -> None:
    first = finish(deploy(version(9)))
    again = finish(deploy(first.version, replicas=2))
    first.refresh_from_db()
    assert (first.state, again.state) == ("superseded", "healthy")


def test_deploy__already_on_its_way__refused() -> None:
    on_its_way = make_version(number=1, stage="production")
    deploy(on_its_way)
    with pytest.raises(AlreadyDeploying):
        deploy(on_its_way)


def test_deploy__not_approved__refused_and_nothing_is_written() -> None:
    with pytest.raises(VersionNotApproved):
        deploy(make_version(number=1, stage="dev"))
    assert not Deployment.objects.exists()
    assert not Endpoint.objects.exists()


def test_deploy__puller_away__waits_then_fails_at_its_deadline(s3: str) -> None:
    started = deploy(version(10), target=nowhere())
    assert advance(started).state == "pending"
    started.refresh_from_db()
    assert "the puller at http://127.0.0.1:9 is away" in started.error
    late = timezone.now() + timedelta(hours=1)
    assert services.advance_deployment(deployment_id=started.pk, now=late).state == "failed"


def test_advance__another_process_is_busy_with_it__left_alone_until_its_time_is_up(
    s3: str,
) -> None:
    started = deploy(version(14), target=nowhere())
    now = timezone.now()
    own = Deployment.objects.filter(pk=started.pk)
    own.update(busy_until_at=now + timedelta(seconds=5))
    advance(started)
    assert own.get().error == ""
    later = now + timedelta(seconds=6)
    services.advance_deployment(deployment_id=started.pk, now=later)
    assert "is away" in own.get().error
    assert own.get().busy_until_at is None


def test_reconcile__entry_lost_by_the_target__placed_again(puller: None) -> None:
    done = finish(deploy(version(11), traffic_percentage=100))
    route(get_endpoint("flights"), stable(deployed(1)))
    driver_of(done.target).remove(entry=done.entry)
    assert services.reconcile_deployments(now=timezone.now()) == 1
    assert finish(done).state == "healthy"
    assert weights() == {"flights/1": 10_000}


def test_remove__version_that_serves__refused(puller: None) -> None:
    done = finish(deploy(version(12), traffic_percentage=100))
    with pytest.raises((BackendInUse, TransitionRefused)):
        services.remove_deployment(actor=operator(), deployment=done, reason="tidy")


def test_remove__version_that_nobody_needs__unloaded(puller: None) -> None:
    done = finish(deploy(version(13)))
    services.remove_deployment(actor=operator(), deployment=done, reason="tidy")
    assert advance(done).state == "removed"
    assert driver_of(done.target).look(entry=done.entry).state == "absent"
    assert Backend.objects.get(version=done.version).state == "gone"
