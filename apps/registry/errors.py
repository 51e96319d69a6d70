"""What this app refuses."""

from apps.events.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable


class ModelNotFound(NotFound):
    """No model of that name."""

    code = "model-not-found"


class VersionNotFound(NotFound):
    """No such version of the model."""

    code = "version-not-found"


class AlreadyExists(Conflict):
    """The name or the semantic version is taken."""

    code = "already-exists"
    title = "Already exists"


class MlflowUnavailable(Unavailable):
    """MLflow does not answer; nothing was written."""

    code = "mlflow-unavailable"
    title = "MLflow is unavailable"


class ArtifactStoreUnavailable(Unavailable):
    """The artifact store does not answer; nothing was written."""

    code = "artifact-store-unavailable"
    title = "The artifact store is unavailable"


class SourceNotFound(Invalid):
    """MLflow has no such run, version or artifact."""

    code = "source-not-found"
    title = "Not found in MLflow"


class UnreadableArtifact(Invalid):
    """The artifact is not an ONNX model that can be taken."""

    code = "unreadable-artifact"
    title = "Unreadable artifact"


class SchemaMismatch(Invalid):
    """The signature and the graph do not fit together; the message names the column."""

    code = "schema-mismatch"
    title = "Signature and model do not match"


class NotValidated(Conflict):
    """The newest validation of this exact content has not passed."""

    code = "not-validated"
    title = "Not validated"


class StageMoveRefused(Conflict):
    """The version's stage does not allow this move."""

    code = "stage-move-refused"
    title = "Stage does not allow this"


class RequestClosed(Conflict):
    """The promotion request is no longer open: decided, withdrawn, expired or void."""

    code = "request-closed"
    title = "Request is closed"


class ContentChanged(Conflict):
    """What was asked for is not what is there now; the request is void."""

    code = "content-changed"
    title = "Content changed"


class SelfApproval(Forbidden):
    """Four eyes mean two people: not the requester, not the author, and never a program."""

    code = "self-approval"
    title = "Four eyes needed"


class ApprovalRefused(Forbidden):
    """Whoever asks may not decide about promotions in this team."""

    code = "approval-refused"


__all__ = [
    "AlreadyExists",
    "ApprovalRefused",
    "ArtifactStoreUnavailable",
    "Conflict",
    "ContentChanged",
    "DomainError",
    "Invalid",
    "MlflowUnavailable",
    "ModelNotFound",
    "NotFound",
    "NotValidated",
    "RequestClosed",
    "SchemaMismatch",
    "SelfApproval",
    "SourceNotFound",
    "StageMoveRefused",
    "UnreadableArtifact",
    "VersionNotFound",
]
