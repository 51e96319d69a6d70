"""Experiments to test with."""

from datetime import UTC, datetime

from apps.accounts.access import Principal, Role
from apps.experiments import services
from apps.experiments.models import Experiment
from apps.experiments.services import ArmPlan
from apps.routing.models import Endpoint
from tests.registry.factories import person
from tests.routing.factories import deployed, make_endpoint, route, stable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def analyst() -> Principal:
    """Somebody who runs experiments, and may neither route nor roll back."""
    return person("anna", Role.ANALYST)


def serving_endpoint() -> Endpoint:
    """An endpoint that gives everybody version 1; version 2 is deployed."""
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    endpoint.refresh_from_db()
    return endpoint


def draft(endpoint: Endpoint | None = None, *, stage: str = "production") -> Experiment:
    """Version 1 against version 2, half and half."""
    endpoint = endpoint or serving_endpoint()
    control = endpoint.model.versions.get(number=1)
    arms = [
        ArmPlan(key="control", version=control, weight=5_000, is_control=True),
        ArmPlan(key="boosted", version=deployed(2, stage=stage), weight=5_000),
    ]
    return services.create_experiment(
        actor=analyst(),
        endpoint=endpoint,
        name="Does it help?",
        hypothesis="More rebookings.",
        arms=arms,
    )


def start(experiment: Experiment) -> Experiment:
    return services.start_experiment(actor=analyst(), experiment=experiment, reason="test", now=NOW)


def stop(experiment: Experiment) -> Experiment:
    return services.stop_experiment(actor=analyst(), experiment=experiment, reason="test", now=NOW)
