"""Smaller variants of a version, and versions of files that were uploaded."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from apps.accounts.access import Permission, Principal, authorise
from apps.events.columns import DIGEST_PATTERN
from apps.registry.artifacts import ArtifactMissing, ArtifactStore, Readable
from apps.registry.errors import Conflict, Invalid, SourceNotFound
from apps.registry.intake.bringing import upload_key
from apps.registry.intake.describing import require_threshold
from apps.registry.intake.logged import MAX_ARTIFACT
from apps.registry.intake.order import Order
from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.services.importing import require_semantic
from apps.registry.services.readiness import require_ready
from apps.registry.services.taking_over import register_version

VARIANTS = ("int8", "fp16")


class _Hashed:
    """Counts and hashes what is read through it."""

    def __init__(self, body: Readable) -> None:
        self._body, self._digest, self.size = body, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes. Raises Invalid past the largest artifact."""
        data = self._body.read(size)
        self.size += len(data)
        if self.size > MAX_ARTIFACT:
            raise Invalid(f"the file is larger than {MAX_ARTIFACT} bytes")
        self._digest.update(data)
        return data

    @property
    def digest(self) -> str:
        """SHA-256 hex of what was read."""
        return self._digest.hexdigest()


def derive(*, actor: Principal, version: ModelVersion, kind: str) -> ModelVersion:
    """A pending version, made of `version` by a worker: "int8" or "fp16".

    Raises PermissionDenied, VersionNotReady, Invalid, or Conflict for what is no ONNX or a variant.
    """
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    if kind not in VARIANTS:
        raise Invalid(f"must be one of {', '.join(VARIANTS)}", field="kind")
    require_ready(version)
    if version.triton_backend != "onnxruntime":
        raise Conflict(f"{version} is no ONNX model: there is no {kind} variant of it")
    if version.derived_from_id is not None:
        raise Conflict(f"{version} is a variant itself: derive from {version.derived_from}")
    return register_version(
        actor=actor,
        model=version.model,
        source=version.source or version.version_key,
        run_id=version.run_id,
        description=f"{kind} variant of {version}",
        order=Order(kind="derive", source=kind),
        derived_from=version,
    )


def keep_upload(*, actor: Principal, model: RegisteredModel, sha256: str, body: Readable) -> int:
    """Stream a file into the store; its size in bytes. It waits there for `register_upload`.

    Raises PermissionDenied, or Invalid when its bytes are not those of the declared SHA-256.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    _require_digest(sha256)
    store, hashed = ArtifactStore.configured(), _Hashed(body)
    key = upload_key(model.name, sha256)
    arriving = f"{key}.arriving-{hashlib.sha256(actor.key.encode()).hexdigest()[:12]}"
    store.receive(hashed, arriving)
    if hashed.digest != sha256:
        store.delete(arriving)
        raise Invalid(f"the file's SHA-256 is {hashed.digest}, not the declared", field="sha256")
    store.copy(arriving, key)
    store.delete(arriving)
    return hashed.size


def register_upload(
    *,
    actor: Principal,
    model: RegisteredModel,
    sha256: str,
    signature: Mapping[str, Any],
    example: Sequence[Mapping[str, Any]] = (),
    semantic_version: str = "",
    description: str = "",
    label_map: Mapping[str, str] | None = None,
    decision_threshold: float | None = None,
) -> ModelVersion:
    """A pending version of an ONNX file that was uploaded; `signature` is as MLflow's.

    Raises PermissionDenied, AlreadyExists, SourceNotFound, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    require_semantic(model, semantic_version)
    if decision_threshold is not None:
        require_threshold(decision_threshold)
    _require_digest(sha256)
    try:
        ArtifactStore.configured().size(upload_key(model.name, sha256))
    except ArtifactMissing as error:
        said = "no file with this SHA-256 was uploaded for this model"
        raise SourceNotFound(said, field="sha256") from error
    return register_version(
        actor=actor,
        model=model,
        source=f"upload:{sha256}",
        semantic_version=semantic_version,
        description=description,
        order=Order(
            kind="upload",
            source=sha256,
            signature=dict(signature),
            example=[dict(row) for row in example],
            label_map=None if label_map is None else dict(label_map),
            decision_threshold=decision_threshold,
        ),
    )


def _require_digest(sha256: str) -> None:
    if not re.fullmatch(DIGEST_PATTERN, sha256):
        raise Invalid("must be a SHA-256 in lower-case hex", field="sha256")
