"""Whether what lies in MLflow is still what was taken over: read there, hashed, kept nowhere."""

import os
from pathlib import Path

from apps.mirror.calls import RegistryClient
from apps.mirror.errors import SourceNotFound
from apps.mirror.models import MirroredVersion
from apps.registry.intake.logged import MAX_ARTIFACT, MLMODEL
from apps.registry.intake.ways import way_of
from apps.registry.mlflow.client import Source
from apps.registry.mlflow.mlmodel import parse_mlmodel
from apps.registry.models import ModelVersion, digest_of

GONE = "gone"


def digest_there(client: RegistryClient, row: MirroredVersion) -> tuple[str, str]:
    """Digests of the content as it was taken over, and as it lies there now.

    Both are over the paths and SHA-256 of the same files; one that is not there counts as gone.
    Raises MlflowUnavailable, or UnreadableArtifact for what cannot be read.
    """
    if row.version is None:
        return "", ""
    try:
        source = client.place(row.mirrored.name, row.number)
        taken = taken_files(client, source, row.version)
        found = {path: _hash(client, source, path) for path in taken}
    except SourceNotFound:
        return digest_of({"": row.version.artifact_digest}), digest_of({"": GONE})
    return digest_of(taken), digest_of(found)


def taken_files(client: RegistryClient, source: Source, version: ModelVersion) -> dict[str, str]:
    """Path there to SHA-256, of the files that a version of ours was made of."""
    if version.files:
        return {file["path"]: file["sha256"] for file in version.files}
    if "source" in version.conversion:
        made_of = version.conversion["source"]
        return {made_of["path"]: made_of["sha256"]}
    mlmodel = parse_mlmodel(client.text(source, MLMODEL))
    return {way_of(mlmodel, client.files(source)).data: version.artifact_digest}


def _hash(client: RegistryClient, source: Source, path: str) -> str:
    try:
        with Path(os.devnull).open("wb") as nowhere:
            return client.copy(source, path, nowhere, limit=MAX_ARTIFACT).digest
    except SourceNotFound:
        return GONE
