"""MLflow's four stages and ours."""

from apps.registry.promotion import Allowance, Stage
from apps.registry.protocol.refusals import invalid

NONE, STAGING, PRODUCTION, ARCHIVED = "None", "Staging", "Production", "Archived"
ALL = (NONE, STAGING, PRODUCTION, ARCHIVED)
# Those that an approval leads to.
GATED = frozenset({STAGING, PRODUCTION})
_CANONICAL = {stage.lower(): stage for stage in ALL}
_OURS = {
    Stage.DEV.value: NONE,
    # It still serves, but gave way; MLflow has no word for it that is nearer.
    Stage.DEPRECATED.value: ARCHIVED,
    Stage.ARCHIVED.value: ARCHIVED,
}


def of(stage: str, allowance: str) -> str:
    """MLflow's word for a stage: Production is the one that allows all traffic."""
    between = PRODUCTION if allowance == Allowance.ALL else STAGING
    return _OURS.get(stage, between)


def canonical(stage: str) -> str:
    """MLflow's spelling of one of its stages. Raises a Refusal."""
    found = _CANONICAL.get(stage.lower())
    if found is None:
        raise invalid(
            f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(ALL)}."
        )
    return found
