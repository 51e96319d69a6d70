"""Evidence files: copied from beside the model in MLflow, counted once, never changed.

This runs before the examination of a version. What is not there is not missed until a check asks;
what cannot be had now (MLflow or the store away) is looked for at the next examination.
"""

from hashlib import sha256
from io import BytesIO

import msgspec
import structlog
from django.db import transaction

from apps.accounts.access import system
from apps.events import services as events
from apps.registry.artifacts import ArtifactStore
from apps.registry.checks.dependencies import FILE as REQUIREMENTS
from apps.registry.checks.dependencies import MOST_BYTES as LONGEST_LIST
from apps.registry.checks.dependencies import read_requirements
from apps.registry.errors import (
    ArtifactStoreUnavailable,
    MlflowUnavailable,
    SourceNotFound,
    UnreadableArtifact,
)
from apps.registry.evaluation.table import FILES, MOST_BYTES, BadTable, evaluate, read_table
from apps.registry.mlflow.servers import connect
from apps.registry.models import EvidenceFile, ModelVersion, Takeover

log = structlog.get_logger(__name__)
GATHERER = system("evidence")
LATER = (MlflowUnavailable, ArtifactStoreUnavailable, SourceNotFound, UnreadableArtifact)
LARGEST = {**dict.fromkeys(FILES, MOST_BYTES), REQUIREMENTS: LONGEST_LIST}


def gather_evidence(*, version: ModelVersion) -> list[EvidenceFile]:
    """Copy the evidence files that lie beside the model and are not here yet."""
    known = set(version.evidence_files.values_list("name", flat=True))
    missing = [name for name in LARGEST if name not in known]
    if not version.source or not missing:
        return []
    try:
        return _fetch(version, missing)
    except LATER as error:
        log.warning("evidence.postponed", version=version.version_key, error=str(error))
        return []


def _fetch(version: ModelVersion, names: list[str]) -> list[EvidenceFile]:
    kept = []
    with connect(_server(version)) as client:
        source = client.source(version.source, version.run_id)
        there = client.files(source)
        for name in names:
            # Beside the model file, or where MLflow's `extra_files` puts things.
            place = next((one for one in (name, f"extra_files/{name}") if one in there), None)
            if place is None:
                continue
            body = BytesIO()
            try:
                client.copy(source, place, body, limit=LARGEST[name])
            except UnreadableArtifact as error:
                log.warning("evidence.too_large", version=version.version_key, error=str(error))
                continue
            kept.append(keep_evidence(version=version, name=name, body=body.getvalue()))
    return kept


def _server(version: ModelVersion) -> str:
    takeover = Takeover.objects.filter(version=version).first()
    return str(takeover.order.get("server", "")) if takeover else ""


def keep_evidence(*, version: ModelVersion, name: str, body: bytes) -> EvidenceFile:
    """Store one file of a version and count what is in it; the one that is there, if one is."""
    store = ArtifactStore.configured()
    digest = sha256(body).hexdigest()
    key = f"artifacts/{version.model.name}/{version.number}/evidence/{digest[:12]}-{name}"
    store.upload(BytesIO(body), key)
    with transaction.atomic():
        row, is_new = EvidenceFile.objects.get_or_create(
            version=version,
            name=name,
            defaults={
                "uri": store.uri(key),
                "digest": digest,
                "size_bytes": len(body),
                "summary": summary_of(version, name, body),
                "created_by": GATHERER.key,
            },
        )
        if is_new:
            _record(version, row)
    return row


def _record(version: ModelVersion, row: EvidenceFile) -> None:
    after = {"name": row.name, "digest": row.digest, "fault": row.summary.get("fault")}
    events.record(
        actor=GATHERER,
        verb="version.evidence_kept",
        object_key=version.key,
        team_key=version.model.team.key,
        after=after,
    )


def summary_of(version: ModelVersion, name: str, body: bytes) -> dict[str, object]:
    """What is counted in a file; {"fault"} where it is none."""
    if name == REQUIREMENTS:
        return {"requirements": read_requirements(body.decode(errors="replace"))}
    try:
        table = read_table(name, body)
        kind = version.schema().output.kind
        found = evaluate(table, kind=kind, threshold=version.decision_threshold)
    except BadTable as error:
        return {"fault": f"{name} {error}"}
    counted: dict[str, object] = msgspec.to_builtins(found)
    return counted
