"""Starting gives users the arms, stopping gives back what they had."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.access import Role
from apps.accounts.errors import PermissionDenied
from apps.events.models import Event
from apps.experiments import selectors, services
from apps.experiments.errors import InvalidPlan, NothingToCompare, TransitionRefused
from apps.experiments.lifecycle import Decision, State, Trigger
from apps.experiments.models import Experiment
from apps.experiments.services import ArmPlan
from apps.monitoring.ingest import batches
from apps.registry.models import ModelVersion
from apps.routing.errors import LeaseHeld, NoBackend, VersionNotApproved
from apps.routing.models import Backend, Endpoint
from tests.experiments.factories import NOW, analyst, draft, serving_endpoint, start, stop
from tests.monitoring.factories import batch, envelope, exposure
from tests.registry.factories import make_model, make_version, person
from tests.routing.factories import deployed, make_endpoint

pytestmark = pytest.mark.django_db


def fresh(endpoint: Endpoint) -> Endpoint:
    endpoint.refresh_from_db()
    return endpoint


def test_start__draft__endpoint_is_leased_and_gives_the_arms() -> None:
    experiment = start(draft())
    endpoint = fresh(experiment.endpoint)
    phase = endpoint.phase
    assert phase is not None
    assert (experiment.state, experiment.baseline_phase) == ("running", 1)
    assert endpoint.lease_holder == phase.experiment_key == experiment.key
    assert phase.weights() == {"control": 5_000, "boosted": 5_000}
    assert [item["role"] for item in phase.variants] == ["stable", "arm"]


def test_stop__running__users_get_back_exactly_what_they_had() -> None:
    endpoint = serving_endpoint()
    before = endpoint.phase
    assert before is not None
    experiment = stop(start(draft(endpoint)))
    phase = fresh(endpoint).phase
    assert phase is not None
    assert (experiment.state, endpoint.lease_holder) == ("stopped", "")
    assert (phase.allocation(), phase.salt) == (before.allocation(), before.salt)
    assert phase.restored_from == before.number


def test_stop__endpoint_handed_on__only_stops() -> None:
    experiment = start(draft())
    Endpoint.objects.update(lease_holder="rollout:1")
    stopped = stop(experiment)
    assert stopped.state == "stopped"
    assert fresh(stopped.endpoint).lease_holder == "rollout:1"


def test_start__endpoint_held_by_a_rollout__refused_and_still_a_draft() -> None:
    experiment = draft()
    Endpoint.objects.update(lease_holder="rollout:1", leased_at=NOW)
    with pytest.raises(LeaseHeld):
        start(experiment)
    experiment.refresh_from_db()
    assert experiment.state == "draft"


def test_start__version_not_approved_for_traffic__refused_and_endpoint_free() -> None:
    experiment = draft(stage="staging")
    with pytest.raises(VersionNotApproved):
        start(experiment)
    assert fresh(experiment.endpoint).lease_holder == ""


def test_start__endpoint_serves_nothing__refused() -> None:
    endpoint = make_endpoint()
    deployed(1)
    with pytest.raises(NothingToCompare):
        start(draft(endpoint))


def test_start__by_somebody_who_may_only_look__refused() -> None:
    with pytest.raises(PermissionDenied):
        services.start_experiment(
            actor=person("rita", Role.READ_ONLY), experiment=draft(), reason="test", now=NOW
        )


def test_start__twice_with_an_old_copy__second_is_refused() -> None:
    experiment = draft()
    copy = Experiment.objects.get(pk=experiment.pk)
    start(experiment)
    with pytest.raises(TransitionRefused):
        start(copy)


def _perform(trigger: Trigger, experiment: Experiment) -> Experiment:
    common: dict[str, Any] = {
        "actor": analyst(),
        "experiment": experiment,
        "reason": "test",
        "now": NOW,
    }
    if trigger is Trigger.DECIDE:
        return services.decide_experiment(**common, decision=Decision.SHIP)
    name = f"{trigger.value}_experiment"
    result: Experiment = getattr(services, name)(**common)
    return result


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ([], [Trigger.STOP, Trigger.DECIDE]),
        ([Trigger.START], [Trigger.START, Trigger.DECIDE, Trigger.ARCHIVE]),
        ([Trigger.START, Trigger.STOP], [Trigger.START, Trigger.STOP]),
        (
            [Trigger.START, Trigger.STOP, Trigger.DECIDE],
            [Trigger.START, Trigger.STOP, Trigger.DECIDE],
        ),
        ([Trigger.ARCHIVE], list(Trigger)),
    ],
)
def test_trigger__not_allowed_in_the_state__refused_and_nothing_changes(
    path: list[Trigger], refused: list[Trigger]
) -> None:
    experiment = draft()
    for trigger in path:
        experiment = _perform(trigger, experiment)
    revision, events = experiment.revision, Event.objects.count()
    for trigger in refused:
        with pytest.raises(TransitionRefused), transaction.atomic():
            _perform(trigger, experiment)
    experiment.refresh_from_db()
    assert (experiment.revision, Event.objects.count()) == (revision, events)


def test_events__of_a_whole_life__tell_it_in_order() -> None:
    experiment = draft()
    for trigger in (Trigger.START, Trigger.STOP, Trigger.DECIDE, Trigger.ARCHIVE):
        experiment = _perform(trigger, experiment)
    told = list(Event.objects.for_object(experiment.key).values_list("verb", flat=True))
    assert told[::-1] == [
        f"experiment.{what}" for what in ("created", "started", "stopped", "decided", "archived")
    ]
    restored = Event.objects.get(verb="endpoint.restored")
    assert (restored.actor_key, restored.responsible_key) == ("system:experiment", "user:anna")


def test_create__version_of_another_model__fault_names_the_arm() -> None:
    endpoint = serving_endpoint()
    foreign = make_version(number=1, model=make_model("fraud"))
    control = ArmPlan(key="a", version=_first(endpoint), weight=5_000, is_control=True)
    with pytest.raises(InvalidPlan) as caught:
        services.create_experiment(
            actor=analyst(),
            endpoint=endpoint,
            name="x",
            hypothesis="y",
            arms=[control, ArmPlan(key="b", version=foreign, weight=5_000)],
        )
    assert caught.value.field == "arms[1].version"


def test_database__two_running_on_one_endpoint__refused() -> None:
    running = start(draft())
    with pytest.raises(IntegrityError, match="experiment_alone"), transaction.atomic():
        Experiment.objects.create(
            endpoint=running.endpoint,
            name="second",
            hypothesis="y",
            state=State.RUNNING.value,
            started_at=NOW,
            baseline_phase=1,
            created_by="user:anna",
        )


def test_arm_counts__exposures_arrived__distinct_units_by_arm() -> None:
    experiment = start(draft())
    seen = [
        exposure(unit, variant=arm, phase=2, experiment=experiment.key)
        for unit, arm in (("u1", "control"), ("u2", "boosted"), ("u3", "boosted"))
    ]
    batches.commit(envelopes=[envelope(batch(exposures=tuple(seen)))])
    counts = selectors.arm_counts(selectors.get_experiment(experiment.pk))
    assert [(row.arm, row.units) for row in counts] == [("control", 1), ("boosted", 2)]


def test_stop__nothing_answers_for_the_baseline__says_so_and_keeps_running() -> None:
    experiment = start(draft())
    Backend.objects.filter(version__number=1).update(state="gone")
    with pytest.raises(NoBackend), transaction.atomic():
        stop(experiment)
    experiment.refresh_from_db()
    assert experiment.state == "running"


def _first(endpoint: Endpoint) -> ModelVersion:
    return endpoint.model.versions.get(number=1)
