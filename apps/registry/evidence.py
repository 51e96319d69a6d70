"""What was known about a version when its promotion was asked for, frozen with the request."""

from typing import Any

from apps.registry.comparison import Side, compare
from apps.registry.models import ModelVersion, Validation
from apps.registry.promotion import Stage


def frozen_evidence(version: ModelVersion, validation: Validation) -> dict[str, Any]:
    """Checks, metrics and the difference to the incumbent, as JSON values."""
    before = incumbent(version)
    return {
        "validation": str(validation.pk),
        "validated_at": validation.finished_at.isoformat() if validation.finished_at else None,
        "content_digest": validation.digest,
        "checks": validation.checks,
        "metrics": version.metrics,
        "incumbent": before.version_key if before else None,
        "differences": [
            {"label": row.label, "before": row.before, "after": row.after}
            for row in (compare(side(before), side(version)) if before else ())
            if row.changed
        ],
    }


def incumbent(version: ModelVersion) -> ModelVersion | None:
    """The version of the same model that came into production last, other than this one."""
    return (
        ModelVersion.objects.at_stage(Stage.PRODUCTION)
        .filter(model=version.model_id)
        .exclude(pk=version.pk)
        .select_related("model__team")
        .order_by("-approved_at")
        .first()
    )


def side(version: ModelVersion) -> Side:
    """What a comparison reads of a version."""
    return Side(
        framework=version.framework,
        schema=version.schema(),
        metrics=version.metrics,
        parameters=version.parameters,
        data=version.data_lineage,
        code=version.code_lineage,
        threshold=version.decision_threshold,
        labels=version.label_map,
        size_bytes=version.size_bytes,
    )
