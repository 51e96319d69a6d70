"""What explains a version follows its deployment, and never holds it up."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from apps.deployments import services
from apps.deployments.deployment import Sight
from apps.deployments.explaining import DEADLINE_S, Explaining, decide, words
from apps.deployments.models import Deployment
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing.facts import backend_facts
from serving.background import encode_background
from serving.validation import compile_schema
from tests.dataplane.triton.conftest import wait_until
from tests.deployments.test_deployments import deploy, finish, puller, version
from tests.registry.factories import EXAMPLE, make_version, put_artifact

__all__ = ["puller"]

pytestmark = pytest.mark.django_db(transaction=True)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def sampled(number: int, body: bytes | None = None) -> ModelVersion:
    """A version whose background sample lies in the store."""
    compiled = compile_schema(make_version(number=number + 100).schema())
    if body is None:
        body = encode_background(compiled, [compiled.read(row) for row in EXAMPLE * 5])
    key = f"artifacts/flights/{number}/background.json"
    put_artifact(key, body)
    return version(
        number,
        background_uri=f"s3://{settings.CONFIG.s3_bucket}/{key}",
        background_digest=hashlib.sha256(body).hexdigest(),
        background_size=len(body),
        background_rows=10,
    )


def explained(deployment: Deployment) -> Deployment:
    """Tick until the explainer has come to an end."""
    found: Deployment = wait_until(
        lambda: services.advance_explainer(deployment_id=deployment.pk, now=timezone.now()),
        lambda seen: seen.explainer_state in ("ready", "failed"),
        seconds=90,
    )
    return found


def explainer_of(deployment: Deployment) -> str:
    backend = backend_facts(deployment.version)
    assert backend is not None
    return backend.explainer


def test_explainer__version_with_a_sample__tested_and_told_to_endpoints(puller: None) -> None:
    healthy = finish(deploy(sampled(21)))
    assert (healthy.state, explainer_of(healthy)) == ("healthy", "")
    done = explained(healthy)
    assert (done.explanations, explainer_of(done)) == (
        "explanations available",
        "flights-v21-explain",
    )
    verbs = Event.objects.for_object(done.key).values_list("verb", flat=True)
    assert "deployment.explainer_ready" in verbs
    assert services.reconcile_explainers(now=timezone.now()) == 0


def test_explainer__that_cannot_be_loaded__leaves_the_deployment_healthy(puller: None) -> None:
    done = explained(finish(deploy(sampled(22, b"{}"))))
    assert (done.state, done.explainer_state) == ("healthy", "failed")
    assert done.explanations.startswith("explanations unavailable: ")
    assert explainer_of(done) == ""


def test_explainer__no_sample__there_is_none_and_it_says_why() -> None:
    started = deploy(make_version(number=1, stage="production"))
    assert started.explanations == (
        "explanations unavailable: no background sample was logged with the model"
    )


READY, FAILED, PENDING, LOADING = (
    Explaining.READY,
    Explaining.FAILED,
    Explaining.PENDING,
    Explaining.LOADING,
)


@pytest.mark.parametrize(
    ("state", "sight", "then"),
    [
        (PENDING, Sight(), PENDING),
        (PENDING, Sight(placed=True), LOADING),
        (PENDING, Sight(refused="too many features"), FAILED),
        (LOADING, Sight(state="loading"), LOADING),
        (LOADING, Sight(state="absent"), PENDING),
        (LOADING, Sight(state="failed", error="no shap"), FAILED),
        (LOADING, Sight(state="ready", answered=True), READY),
        (READY, Sight(state="ready"), READY),
        (READY, Sight(error="Triton is away"), READY),
        (READY, Sight(state="absent"), PENDING),
        (READY, Sight(state="failed"), FAILED),
        (FAILED, Sight(state="absent"), FAILED),
        (Explaining.NONE, Sight(state="absent"), Explaining.NONE),
    ],
)
def test_decide__what_is_seen__leads_where_it_should(
    state: Explaining, sight: Sight, then: Explaining
) -> None:
    assert decide(state, T0, sight, T0)[0] is then


@pytest.mark.parametrize("state", [PENDING, LOADING])
def test_decide__past_the_deadline__fails_with_what_was_wrong(state: Explaining) -> None:
    late = T0 + timedelta(seconds=DEADLINE_S)
    then, reason = decide(state, T0, Sight(error="the store is away"), late)
    assert then is FAILED
    assert words(then, reason) == (
        "explanations unavailable: not done within 900 s: the store is away"
    )
