"""Models, versions, their validations, promotion requests and the history of their stages."""

from apps.registry.digests import digest_of
from apps.registry.models.alias import ModelAlias
from apps.registry.models.card import CardEdition
from apps.registry.models.catalogue import (
    SEMANTIC_PATTERN,
    ModelVersion,
    ModelVersionQuerySet,
    RegisteredModel,
    Tier,
    VersionStatus,
)
from apps.registry.models.checks import OPEN_CHECKS, CheckRun, CheckState, EvidenceFile
from apps.registry.models.metric import VersionMetric
from apps.registry.models.policy import CheckHook, FreezeWindow, PromotionPolicy, StageLadder
from apps.registry.models.promotion import (
    Approval,
    Comment,
    CommentEdition,
    PromotionRequest,
    StageTransition,
)
from apps.registry.models.reference import ReferenceProfile
from apps.registry.models.takeover import Takeover
from apps.registry.models.validation import OPEN_VALIDATIONS, Validation, ValidationState
from apps.registry.naming import ALIAS_PATTERN, NAME_LENGTH, NAME_PATTERN

__all__ = [
    "ALIAS_PATTERN",
    "NAME_LENGTH",
    "NAME_PATTERN",
    "OPEN_CHECKS",
    "OPEN_VALIDATIONS",
    "SEMANTIC_PATTERN",
    "Approval",
    "CardEdition",
    "CheckHook",
    "CheckRun",
    "CheckState",
    "Comment",
    "CommentEdition",
    "EvidenceFile",
    "FreezeWindow",
    "ModelAlias",
    "ModelVersion",
    "ModelVersionQuerySet",
    "PromotionPolicy",
    "PromotionRequest",
    "ReferenceProfile",
    "RegisteredModel",
    "StageLadder",
    "StageTransition",
    "Takeover",
    "Tier",
    "Validation",
    "ValidationState",
    "VersionMetric",
    "VersionStatus",
    "digest_of",
]
