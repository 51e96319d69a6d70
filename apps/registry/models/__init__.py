"""Models, versions, their validations, promotion requests and the history of their stages."""

from apps.registry.models.catalogue import (
    NAME_PATTERN,
    SEMANTIC_PATTERN,
    ModelAlias,
    ModelVersion,
    ModelVersionQuerySet,
    RegisteredModel,
    Tier,
    VersionStatus,
    digest_of,
)
from apps.registry.models.promotion import PromotionRequest, StageTransition
from apps.registry.models.validation import OPEN_VALIDATIONS, Validation, ValidationState

__all__ = [
    "NAME_PATTERN",
    "OPEN_VALIDATIONS",
    "SEMANTIC_PATTERN",
    "ModelAlias",
    "ModelVersion",
    "ModelVersionQuerySet",
    "PromotionRequest",
    "RegisteredModel",
    "StageTransition",
    "Tier",
    "Validation",
    "ValidationState",
    "VersionStatus",
    "digest_of",
]
