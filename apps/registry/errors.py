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


class VersionNotReady(Conflict):
    """The version's artifact is not there yet, or could not be taken over."""

    code = "version-not-ready"
    title = "Version is not ready"


class TakeoverBroken(DomainError):
    """The work on an artifact ended without a result, again and again."""

    code = "takeover-broken"
    title = "Artifact could not be taken over"


class NotConvertible(Invalid):
    """The model cannot be turned into ONNX, or what came of it does not answer as it did."""

    code = "not-convertible"
    title = "Model cannot be converted"


class TakeoverFailed(Invalid):
    """The artifact of a version that was registered cannot be taken over."""

    code = "takeover-failed"
    title = "Artifact could not be taken over"


class SandboxUnavailable(Unavailable):
    """This machine offers nothing that would keep foreign code apart; none is run."""

    code = "sandbox-unavailable"
    title = "No sandbox on this machine"


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


class AlreadySigned(Conflict):
    """One person signs a request once."""

    code = "already-signed"
    title = "Signed already"


class EvidenceIncomplete(Conflict):
    """A required check has not passed, or has no verdict yet."""

    code = "evidence-incomplete"
    title = "Evidence is incomplete"


class Frozen(Conflict):
    """A freeze window holds: nothing is approved, unless somebody breaks the glass."""

    code = "frozen"
    title = "Promotions are frozen"


class NotWaivable(Conflict):
    """The policy does not let this check go, or it has a verdict that nobody lets go."""

    code = "not-waivable"
    title = "Check cannot be waived"


class StageInUse(Conflict):
    """Versions stand in a stage that the new ladder does not have, or has differently."""

    code = "stage-in-use"
    title = "Stage is in use"


class AliasProtected(Forbidden):
    """The alias follows promotion: an approval sets it, nobody does by hand."""

    code = "alias-protected"
    title = "Alias is protected"


class SelfApproval(Forbidden):
    """Four eyes mean two people: not the requester, not the author, and never a program."""

    code = "self-approval"
    title = "Four eyes needed"


class ApprovalRefused(Forbidden):
    """Whoever asks may not decide about promotions in this team."""

    code = "approval-refused"


__all__ = [
    "AliasProtected",
    "AlreadyExists",
    "AlreadySigned",
    "ApprovalRefused",
    "ArtifactStoreUnavailable",
    "Conflict",
    "ContentChanged",
    "DomainError",
    "EvidenceIncomplete",
    "Frozen",
    "Invalid",
    "MlflowUnavailable",
    "ModelNotFound",
    "NotConvertible",
    "NotFound",
    "NotValidated",
    "NotWaivable",
    "RequestClosed",
    "SandboxUnavailable",
    "SchemaMismatch",
    "SelfApproval",
    "SourceNotFound",
    "StageInUse",
    "StageMoveRefused",
    "TakeoverBroken",
    "TakeoverFailed",
    "UnreadableArtifact",
    "VersionNotFound",
    "VersionNotReady",
]
