"""MLflow's REST API, as far as an import needs it.

Every call has a deadline. MLflow away or broken is MlflowUnavailable; what it does not have is
SourceNotFound, naming the field of the request that asked for it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from apps.registry.errors import MlflowUnavailable, SourceNotFound, UnreadableArtifact
from apps.registry.mlflow.answers import (
    FileEntry,
    FilesAnswer,
    LoggedModelAnswer,
    Run,
    RunAnswer,
    UriAnswer,
    VersionAnswer,
    run_of,
)

T = TypeVar("T")

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
CHUNK = 1024 * 1024
MAX_TEXT = 4 * 1024 * 1024
MAX_FILES, MAX_DEPTH, MAX_PATH = 2_000, 16, 300


@dataclass(frozen=True)
class Source:
    """A logged model: where its files lie, and the run that made it (None when unknown)."""

    uri: str
    artifact_uri: str
    run: Run | None


@dataclass(frozen=True)
class Copied:
    """What was streamed: SHA-256 hex and size in bytes."""

    digest: str
    size: int


class MlflowClient:
    """A client of one tracking server; use it as a context manager."""

    def __init__(
        self,
        tracking_uri: str,
        *,
        transport: httpx.BaseTransport | None = None,
        auth: httpx.Auth | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=tracking_uri, timeout=TIMEOUT, trust_env=False, transport=transport, auth=auth
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def model_of_run(self, run_id: str, artifact_path: str) -> Source:
        """The model that a run logged under `artifact_path`."""
        run = self.run(run_id)
        for model_id in run.model_ids:
            path = f"/logged-models/{quote(model_id)}"
            logged = self._get(path, {}, LoggedModelAnswer, field="run_id").model.info
            if logged.name == artifact_path:
                return Source(f"models:/{model_id}", logged.artifact_uri, run)
        uri = f"runs:/{run_id}/{artifact_path}"
        return Source(uri, f"{run.artifact_uri}/{artifact_path}", run)

    def registered_version(self, name: str, version: str) -> Source:
        """The model behind a version of MLflow's own registry."""
        asked, field = {"name": name, "version": version}, "mlflow_version"
        found = self._get("/model-versions/get", asked, VersionAnswer, field=field)
        place = self._get("/model-versions/get-download-uri", asked, UriAnswer, field=field)
        run_id = found.model_version.run_id
        run = self.run(run_id) if run_id else None
        return Source(f"models:/{name}/{version}", place.artifact_uri, run)

    def source(self, uri: str, run_id: str = "") -> Source:
        """The logged model at an address: "runs:/…", "models:/…" or "mlflow-artifacts:/…".

        `run_id` names the run that made it where the address does not.
        """
        scheme, _, rest = uri.partition(":/")
        parts = rest.strip("/").split("/")
        if scheme == "runs" and len(parts) > 1:
            return self.model_of_run(parts[0], "/".join(parts[1:]))
        if scheme == "models" and len(parts) == 1:
            return self._logged_model(parts[0], run_id)
        if scheme == "models" and len(parts) == 2:
            return self.registered_version(*parts)
        _path(uri)
        return Source(uri, uri, self.run(run_id) if run_id else None)

    def _logged_model(self, model_id: str, run_id: str) -> Source:
        path = f"/logged-models/{quote(model_id, safe='')}"
        logged = self._get(path, {}, LoggedModelAnswer, field="source").model.info
        made_by = run_id or logged.source_run_id
        run = self.run(made_by) if made_by else None
        return Source(f"models:/{model_id}", logged.artifact_uri, run)

    def run(self, run_id: str) -> Run:
        """What a run recorded."""
        asked = {"run_id": run_id}
        return run_of(self._get("/runs/get", asked, RunAnswer, field="run_id").run)

    def files(self, source: Source) -> dict[str, int]:
        """Paths below the MLmodel file's folder, with sizes in bytes.

        Raises UnreadableArtifact for a path that leads out of it, and for too many files.
        """
        found: dict[str, int] = {}
        folders = [""]
        while folders:
            for entry in self._entries(source, folders.pop()):
                if entry.is_dir:
                    folders.append(entry.path)
                else:
                    found[entry.path] = entry.file_size
                if len(found) + len(folders) > MAX_FILES:
                    raise UnreadableArtifact(f"there are more than {MAX_FILES} files")
        return found

    def _entries(self, source: Source, folder: str) -> list[FileEntry]:
        """What lies in one folder; paths are from the model's folder."""
        asked = {"path": "/".join(filter(None, (_path(source.artifact_uri), folder)))}
        answer = self._json(ARTIFACTS, asked, FilesAnswer, field="artifact_path")
        entries = []
        for entry in answer.files:
            # MLflow names entries relative to the folder asked for.
            path = f"{folder}/{entry.path}" if folder else entry.path
            require_inside(path)
            entries.append(FileEntry(path, entry.is_dir, entry.file_size))
        return entries

    def text(self, source: Source, name: str, *, most: int = MAX_TEXT) -> str:
        """A small text file. Raises UnreadableArtifact when it is larger than `most` bytes."""
        with self._stream(source, name) as response:
            data = b""
            for chunk in response.iter_bytes(CHUNK):
                data += chunk
                if len(data) > most:
                    raise UnreadableArtifact(f"{name} is larger than {most} bytes")
        return data.decode(errors="replace")

    def copy(
        self,
        source: Source,
        name: str,
        into: BinaryIO,
        *,
        limit: int,
        moved: Callable[[int], None] = lambda _count: None,
    ) -> Copied:
        """Stream a file into `into`, hashing it on the way and telling `moved` of each piece.

        Raises UnreadableArtifact past `limit` bytes.
        """
        digest, size = hashlib.sha256(), 0
        with self._stream(source, name) as response:
            for chunk in response.iter_bytes(CHUNK):
                size += len(chunk)
                if size > limit:
                    raise UnreadableArtifact(f"{name} is larger than {limit} bytes")
                digest.update(chunk)
                into.write(chunk)
                moved(len(chunk))
        return Copied(digest.hexdigest(), size)

    def _get(self, path: str, params: Mapping[str, str], type_: type[T], *, field: str) -> T:
        return self._json(API + path, params, type_, field=field)

    def folder(self, source: Source) -> str:
        """The path of a model's files under MLflow's artifact proxy. Raises SourceNotFound."""
        return _path(source.artifact_uri)

    def _answered(self, method: str, path: str, field: str, **body: Any) -> bytes:
        """The answer to a call that changes something there."""
        with _errors():
            response = self._http.request(method, path, **body)
            _require(response, field)
            return response.content

    def _json(self, path: str, params: Mapping[str, str], type_: type[T], *, field: str) -> T:
        with _errors():
            response = self._http.get(path, params=dict(params))
            _require(response, field)
            return msgspec.json.decode(response.content, type=type_)

    @contextmanager
    def _stream(self, source: Source, name: str) -> Iterator[httpx.Response]:
        path = f"{ARTIFACTS}/{quote(_path(source.artifact_uri))}/{quote(name)}"
        with _errors(), self._http.stream("GET", path) as response:
            if response.is_error:
                response.read()
            _require(response, "artifact_path")
            yield response


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise MlflowUnavailable(f"MLflow does not answer: {error}") from error
    except ValueError as error:
        raise MlflowUnavailable("MLflow's answer makes no sense") from error


def _require(response: httpx.Response, field: str) -> None:
    if response.is_success:
        return
    if response.status_code in (400, 404):
        raise SourceNotFound(_message(response), field=field)
    raise MlflowUnavailable(f"MLflow answers {response.status_code}: {_message(response)}")


def _message(response: httpx.Response) -> str:
    try:
        message = response.json().get("message", "")
    except (ValueError, AttributeError):
        message = ""
    return str(message)[:500] or f"MLflow answers {response.status_code}"


def _path(artifact_uri: str) -> str:
    """The path under MLflow's artifact proxy. Raises SourceNotFound for other stores."""
    parts = urlsplit(artifact_uri)
    if parts.scheme != "mlflow-artifacts":
        raise SourceNotFound(
            f"the files lie at {artifact_uri}; only what MLflow serves itself "
            "(--serve-artifacts) can be imported",
            field="artifact_path",
        )
    path = parts.path.strip("/")
    require_inside(path)
    return path


def require_inside(path: str) -> None:
    """Raise UnreadableArtifact for a path that could lead out of its folder, or is no path."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
    if not plain or "\\" in path or len(path) > MAX_PATH or len(parts) > MAX_DEPTH:
        raise UnreadableArtifact(f"{path[:100]!r} is no path of an artifact", field="artifact_path")
