"""Bringing an artifact in: from where it was logged into our store, with its schema."""

from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import msgspec

from apps.registry import background
from apps.registry.artifacts import ArtifactMissing, ArtifactStore, digest_of_file
from apps.registry.background import Background
from apps.registry.errors import Invalid, SchemaMismatch, SourceNotFound, UnreadableArtifact
from apps.registry.intake.converting import convert, prove
from apps.registry.intake.deriving import hold_against, make_variant, measured, rows_of
from apps.registry.intake.describing import describe, fit_schema
from apps.registry.intake.logged import MAX_ARTIFACT, Logged, read_logged
from apps.registry.intake.order import Order
from apps.registry.intake.progress import Progress
from apps.registry.intake.referring import refer
from apps.registry.intake.ways import Way, graph_of_signature, way_of
from apps.registry.mlflow.client import Copied, MlflowClient, Source
from apps.registry.mlflow.mlmodel import MlModel
from apps.registry.mlflow.servers import connect
from apps.registry.model_schema import Mismatch
from apps.registry.models import ModelVersion, ReferenceProfile, digest_of
from apps.registry.onnx_graph import Graph, NotOnnx, read_graph
from contracts.schema import ModelSchema

# The fields of a version that are written when its artifact is there.
TAKEN = (
    "framework",
    "source",
    "download_uri",
    "run_id",
    "files",
    "triton_backend",
    "conversion",
    "artifact_uri",
    "artifact_digest",
    "size_bytes",
    "declared",
    "background_uri",
    "background_digest",
    "background_size",
    "background_rows",
    "signature",
    "input_schema",
    "output_schema",
    "example",
    "label_map",
    "decision_threshold",
    "metrics",
    "parameters",
    "trained_at",
    "data_lineage",
    "code_lineage",
)


# What a variant takes over from the version that it is made of.
INHERITED = (
    "framework",
    "run_id",
    "declared",
    "background_uri",
    "background_digest",
    "background_size",
    "background_rows",
    "signature",
    "input_schema",
    "output_schema",
    "example",
    "label_map",
    "decision_threshold",
    "parameters",
    "trained_at",
    "data_lineage",
    "code_lineage",
)


def upload_key(model_name: str, sha256: str) -> str:
    """Where an uploaded file waits for its version."""
    return f"uploads/{model_name}/{sha256}"


def bring_in(
    version: ModelVersion, order: Order, attempt: int, progress: Progress
) -> ReferenceProfile | None:
    """Put the artifact into the store and fill in the version's fields; no row is written.

    Returns its reference profile, unsaved. Raises errors of the registry, and Superseded.
    """
    with TemporaryDirectory(prefix="switchyard-takeover-") as place:
        work = Work(version, order, Path(place), _folder(version, attempt), progress)
        {
            "mlflow": work.from_mlflow,
            "upload": work.from_upload,
            "derive": work.from_parent,
        }[order.kind]()
        return work.reference


def _folder(version: ModelVersion, attempt: int) -> str:
    """Where nothing but this attempt writes."""
    place = f"artifacts/{version.model.name}/{version.number}"
    return place if attempt == 1 else f"{place}/attempt-{attempt}"


class Work:
    """One attempt at one version: a folder on disk, a folder in the store."""

    def __init__(
        self, version: ModelVersion, order: Order, place: Path, folder: str, progress: Progress
    ) -> None:
        self.version, self.order, self.place = version, order, place
        self.folder, self.progress = folder, progress
        self.store = ArtifactStore.configured()
        self.reference: ReferenceProfile | None = None

    def from_mlflow(self) -> None:
        """Take over what a run logged."""
        self.progress.step("reading what MLflow holds")
        with connect(self.order.server) as client:
            source = client.source(self.order.source, self.order.run_id)
            logged = read_logged(client, source)
            describe(self.version, logged, self.order)
            way = way_of(logged.mlmodel, logged.files)
            if way.kind == "opaque":
                self._keep_as_it_is(client, logged, way)
                return
            suffix = PurePosixPath(way.data).suffix
            name = "model.onnx" if way.kind == "onnx" else f"source{suffix}"
            copied = self._fetch(client, logged, way.data, self.place / name)
        if way.kind == "convert":
            self._convert(logged, self.place / name, copied)
        else:
            self._take(logged, self.place / name)

    def from_upload(self) -> None:
        """Take over an ONNX file that was uploaded before, under the digest that it has."""
        path = self.place / "model.onnx"
        self._download(upload_key(self.version.model.name, self.order.source), path)
        signature = dict(self.order.signature or {})
        uploaded = Source(self.version.source, "", None)
        mlmodel = MlModel(framework="onnx", data="model.onnx", signature=signature)
        logged = Logged(uploaded, mlmodel, {}, list(self.order.example or []), None)
        describe(self.version, logged, self.order)
        self._take(logged, path)

    def from_parent(self) -> None:
        """Make a variant of the version that this one is derived from."""
        parent = self.version.derived_from
        if parent is None:
            raise Invalid("a variant is derived from a version", field="kind")
        before = self.place / "source.onnx"
        found = self._download(self.store.key(parent.artifact_uri), before)
        if found != parent.artifact_digest:
            raise UnreadableArtifact(f"the artifact of {parent} is not the registered one")
        kind, schema = self.order.source, parent.schema()
        self.progress.step(f"making the {kind} variant in the sandbox")
        after, means = make_variant(kind, before)
        for name in INHERITED:
            setattr(self.version, name, getattr(parent, name))
        logged = _logged_again(parent)
        rows = rows_of(logged, schema)
        self.progress.step(f"holding it against {parent} on {len(rows.rows)} rows")
        held = hold_against(parent, schema, before, after, rows)
        self.version.conversion = {"variant": kind, "sandbox": dict(means), **held}
        self.version.metrics = measured(held)
        with after.open("rb") as file:
            self._keep(file)
        self.reference = refer(self.version, logged, schema, after)

    def _download(self, key: str, path: Path) -> str:
        self.progress.step("fetching the artifact")
        try:
            with path.open("wb") as into:
                return self.store.download(key, into)
        except ArtifactMissing as error:
            raise SourceNotFound(f"the store has no such file: {error}", field="sha256") from error

    def _take(self, logged: Logged, path: Path) -> None:
        """An ONNX file on disk: its schema, its place in the store, its sample."""
        with path.open("rb") as file:
            schema = fit_schema(self.version, self._graph(file, path.stat().st_size))
            sample = _background(logged, schema)
            self._keep(file)
        if sample is not None:
            self._keep_sample(sample)
        self.progress.step("counting the training sample")
        self.reference = refer(self.version, logged, schema, path)

    def _convert(self, logged: Logged, path: Path, copied: Copied) -> None:
        if self.version.declaration().preprocessing:
            said = "steps are declared for ONNX models; this one is converted as it is"
            raise Invalid(said, field="preprocessing")
        self.progress.step("converting the model in the sandbox")
        mlmodel = logged.mlmodel
        made = convert(
            path,
            mlmodel.framework,
            mlmodel.settings,
            mlmodel.signature,
            logged.sample or logged.example,
        )
        self.progress.step(f"proving the conversion on {len(made.rows)} rows")
        with made.path.open("rb") as file:
            schema = fit_schema(self.version, self._graph(file, made.path.stat().st_size))
        proof = prove(made, self.version, schema)
        self.version.conversion = {
            **made.evidence,
            "source": {"path": mlmodel.data, "size": copied.size, "sha256": copied.digest},
            "proof": msgspec.to_builtins(proof),
        }
        self._take(logged, made.path)

    def _keep_as_it_is(self, client: MlflowClient, logged: Logged, way: Way) -> None:
        """Every file of an artifact that only another backend of Triton can load."""
        schema = fit_schema(self.version, graph_of_signature(self.version.signature))
        self.reference = refer(self.version, logged, schema, None)
        files: list[dict[str, Any]] = []
        for name in way.files:
            path = self.place / "file"
            copied = self._fetch(client, logged, name, path)
            with path.open("rb") as file:
                self.store.upload(file, f"{self.folder}/files/{name}", moved=self.progress.moved)
            files.append({"path": name, "size": copied.size, "sha256": copied.digest})
        self.version.files = files
        self.version.triton_backend = way.backend
        self.version.artifact_uri = self.store.uri(f"{self.folder}/files")
        self.version.artifact_digest = digest_of(files)
        self.version.size_bytes = sum(each["size"] for each in files)

    def _fetch(self, client: MlflowClient, logged: Logged, name: str, path: Path) -> Copied:
        self.progress.step(f"fetching {name}"[:200], logged.files.get(name, 0))
        with path.open("wb") as into:
            return client.copy(
                logged.source, name, into, limit=MAX_ARTIFACT, moved=self.progress.moved
            )

    def _graph(self, file: BinaryIO, size: int) -> Graph:
        try:
            return read_graph(file, size=size)
        except NotOnnx as error:
            raise UnreadableArtifact(str(error), field="artifact_path") from error

    def _keep(self, file: BinaryIO) -> None:
        digest, size = digest_of_file(file)
        self.progress.step("storing the artifact", size)
        key = f"{self.folder}/model.onnx"
        self.store.upload(file, key, moved=self.progress.moved)
        self.version.artifact_uri = self.store.uri(key)
        self.version.artifact_digest, self.version.size_bytes = digest, size
        self.version.triton_backend = "onnxruntime"

    def _keep_sample(self, sample: Background) -> None:
        key = f"{self.folder}/{background.FILE}"
        self.store.upload(BytesIO(sample.body), key)
        self.version.background_uri = self.store.uri(key)
        self.version.background_digest = sample.digest
        self.version.background_size = len(sample.body)
        self.version.background_rows = sample.rows


def _logged_again(version: ModelVersion) -> Logged:
    """What MLflow holds about a version; its own example where that is gone, or never was."""
    takeover = getattr(version, "takeover", None)
    server = "" if takeover is None else str(takeover.order.get("server", ""))
    try:
        with connect(server) as client:
            return read_logged(client, client.source(version.source, version.run_id))
    except Invalid:
        nowhere, mlmodel = Source(version.source, "", None), MlModel("onnx", "", version.signature)
        return Logged(nowhere, mlmodel, {}, list(version.example), None)


def _background(logged: Logged, schema: ModelSchema) -> Background | None:
    try:
        return background.background_of(schema, logged.sample, logged.example)
    except Mismatch as error:
        raise SchemaMismatch(str(error), field="artifact_path") from error
