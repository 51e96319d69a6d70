"""Every write of the registry."""

from apps.registry.services.aliases import crown, delete_alias, set_alias
from apps.registry.services.calling import answer_callback, resume_checks, run_checks
from apps.registry.services.cards import write_card
from apps.registry.services.catalogue import (
    delete_model,
    register_model,
    rename_model,
    update_model,
)
from apps.registry.services.checking import rerun_checks, waive_check
from apps.registry.services.commenting import comment, edit_comment
from apps.registry.services.deciding import break_glass
from apps.registry.services.deriving import derive, keep_upload, register_upload
from apps.registry.services.governing import (
    add_check_hook,
    add_freeze,
    cancel_freeze,
    disable_check_hook,
    set_ladder,
    set_policy,
)
from apps.registry.services.importing import await_version, import_version
from apps.registry.services.promoting import (
    approve,
    expire_requests,
    reject,
    request_promotion,
    withdraw,
)
from apps.registry.services.readiness import require_ready
from apps.registry.services.staging import archive, deprecate, reinstate
from apps.registry.services.tags import (
    delete_model_tag,
    delete_version_tag,
    set_model_tag,
    set_version_tag,
)
from apps.registry.services.taking_over import (
    cancel_takeover,
    register_version,
    resume_takeovers,
    take_over,
)
from apps.registry.services.validating import (
    resume_validations,
    run_validation,
    start_validation,
)
from apps.registry.services.versions import delete_version, register_source, update_version

__all__ = [
    "add_check_hook",
    "add_freeze",
    "answer_callback",
    "approve",
    "archive",
    "await_version",
    "break_glass",
    "cancel_freeze",
    "cancel_takeover",
    "comment",
    "crown",
    "delete_alias",
    "delete_model",
    "delete_model_tag",
    "delete_version",
    "delete_version_tag",
    "deprecate",
    "derive",
    "disable_check_hook",
    "edit_comment",
    "expire_requests",
    "import_version",
    "keep_upload",
    "register_model",
    "register_source",
    "register_upload",
    "register_version",
    "reinstate",
    "reject",
    "rename_model",
    "request_promotion",
    "require_ready",
    "rerun_checks",
    "resume_checks",
    "resume_takeovers",
    "resume_validations",
    "run_checks",
    "run_validation",
    "set_alias",
    "set_ladder",
    "set_model_tag",
    "set_policy",
    "set_version_tag",
    "start_validation",
    "take_over",
    "update_model",
    "update_version",
    "waive_check",
    "withdraw",
    "write_card",
]
