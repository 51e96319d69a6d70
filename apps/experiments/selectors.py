"""Reads for pages and the API."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.experiments.errors import ExperimentNotFound
from apps.experiments.models import Experiment
from apps.monitoring.selectors import VariantExposures, exposure_counts


@dataclass(frozen=True, kw_only=True)
class ArmCounts:
    """Who has seen an arm until now: distinct units, first and last seen.

    `mixed` units also saw another arm in the same phase.
    """

    arm: str
    version: str
    weight: int
    is_control: bool
    units: int
    mixed: int
    first_at: datetime | None
    last_at: datetime | None


def get_experiment(experiment_id: UUID) -> Experiment:
    """An experiment with endpoint, team and arms. Raises ExperimentNotFound."""
    found = Experiment.objects.described().filter(pk=experiment_id).first()
    if found is None:
        raise ExperimentNotFound(f"there is no experiment {experiment_id}", field="experiment")
    return found


def arm_counts(experiment: Experiment) -> list[ArmCounts]:
    """Live counts of every arm, the control first."""
    seen = exposure_counts(experiment.key)
    nobody = VariantExposures(0, 0, None, None)
    return [
        ArmCounts(
            arm=arm.key,
            version=arm.version.version_key,
            weight=arm.weight,
            is_control=arm.is_control,
            units=seen.get(arm.key, nobody).units,
            mixed=seen.get(arm.key, nobody).mixed,
            first_at=seen.get(arm.key, nobody).first_at,
            last_at=seen.get(arm.key, nobody).last_at,
        )
        for arm in experiment.arms.all()
    ]
