"""What was known about a version when its promotion was asked for, frozen with the request."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from apps.registry.comparison import Side, compare
from apps.registry.models import CheckRun, ModelVersion, PromotionRequest, Validation
from apps.registry.promotion import CHAMPION
from apps.registry.terms import terms_for


def known_evidence(version: ModelVersion, validation: Validation) -> dict[str, Any]:
    """Metrics and the difference to the incumbent, as JSON values; checks are yet to come."""
    before = incumbent(version)
    return {
        "validation": str(validation.pk),
        "validated_at": validation.finished_at.isoformat() if validation.finished_at else None,
        "content_digest": validation.digest,
        "checks": [],
        "metrics": version.metrics,
        "incumbent": before.version_key if before else None,
        "differences": [
            {"label": row.label, "before": row.before, "after": row.after}
            for row in (compare(side(before), side(version)) if before else ())
            if row.changed
        ],
    }


def with_checks(evidence: Mapping[str, Any], checks: Iterable[CheckRun]) -> dict[str, Any]:
    """The evidence with what the checks found, waivers included."""
    return {**evidence, "checks": [_check(run) for run in checks]}


def _check(run: CheckRun) -> dict[str, Any]:
    waived = {"waived_by": run.waived_by, "waiver_reason": run.waiver_reason}
    return {
        "name": run.name,
        "title": run.title,
        "required": run.required,
        "verdict": run.verdict,
        "detail": run.detail,
        "figures": run.figures,
        "link": run.link,
        **(waived if run.waived_at else {}),
    }


def incumbent(version: ModelVersion) -> ModelVersion | None:
    """What the version is held against: the champion, or what came before it for the champion.

    Where there is no champion, the version that came into the top stage last, other than this one.
    """
    versions = ModelVersion.objects.filter(model=version.model_id).exclude(pk=version.pk)
    approved = versions.filter(approved_at__isnull=False).order_by("-approved_at")
    champion = (
        ModelVersion.objects.filter(model=version.model_id, aliases__name=CHAMPION)
        .select_related("model__team")
        .first()
    )
    if champion is None:
        return approved.at_the_top().select_related("model__team").first()
    if champion.pk != version.pk:
        return champion
    earlier = approved.filter(approved_at__lt=version.approved_at or timezone.now())
    return earlier.select_related("model__team").first()


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


def what_changed(request: PromotionRequest) -> str:
    """What is not as it was asked for, in words; empty when all is.

    A policy that changed counts while a request waits: rules that were tightened hold for whoever
    has not been let through. What was approved before stands on the terms of its time.
    """
    version = request.version
    if version.content_digest() != request.digest:
        return f"the content of {version}"
    if not request.is_intact():
        return "the frozen evidence"
    if not request.terms_digest:
        return ""
    now_in_force = terms_for(version, request.target_stage)
    return "the policy" if now_in_force.digest != request.terms_digest else ""
