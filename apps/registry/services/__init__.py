"""Every write of the registry."""

from apps.registry.services.catalogue import register_model, update_model
from apps.registry.services.importing import import_version
from apps.registry.services.promoting import (
    approve,
    expire_requests,
    reject,
    request_promotion,
    withdraw,
)
from apps.registry.services.staging import archive, deprecate, reinstate
from apps.registry.services.validating import (
    resume_validations,
    run_validation,
    start_validation,
)

__all__ = [
    "approve",
    "archive",
    "deprecate",
    "expire_requests",
    "import_version",
    "register_model",
    "reinstate",
    "reject",
    "request_promotion",
    "resume_validations",
    "run_validation",
    "start_validation",
    "update_model",
    "withdraw",
]
