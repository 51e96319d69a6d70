"""What a mirror asks of MLflow's registry, and what it writes there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from django.conf import settings

from apps.mirror.answers import (
    ModelsPage,
    OneModel,
    OneVersion,
    Registered,
    Version,
    VersionsPage,
)
from apps.mirror.errors import SourceNotFound
from apps.mirror.guarded import Guarded
from apps.mirror.models import Mirror
from apps.notices.signing import unseal
from apps.registry.mlflow.client import API, ARTIFACTS, CHUNK, MlflowClient, Source

T = TypeVar("T")
MODELS_AT_ONCE = 100
VERSIONS_AT_ONCE = 500
LOGGED = re.compile(r"\bm-[0-9a-f]{32}\b")


class RegistryClient(MlflowClient):
    """A client of MLflow's registry. Raises MlflowUnavailable and SourceNotFound as that does."""

    def models(self, token: str = "") -> ModelsPage:
        """One page of registered models, by name."""
        asked = {"max_results": str(MODELS_AT_ONCE), "order_by": "name ASC", "page_token": token}
        return self._get("/registered-models/search", _given(asked), ModelsPage, field="name")

    def versions(self, name: str) -> Iterator[Version]:
        """Every version of a model, the newest change first."""
        token = ""
        while True:
            asked = {
                "filter": f"name = {_quoted(name)}",
                "max_results": str(VERSIONS_AT_ONCE),
                "order_by": "last_updated_timestamp DESC",
                "page_token": token,
            }
            page = self._get("/model-versions/search", _given(asked), VersionsPage, field="name")
            yield from page.model_versions
            token = page.next_page_token
            if not token:
                return

    def model(self, name: str) -> Registered | None:
        """A registered model; None when it is not there."""
        try:
            found = self._get("/registered-models/get", {"name": name}, OneModel, field="name")
        except SourceNotFound:
            return None
        return found.registered_model

    def alias(self, name: str, alias: str) -> str:
        """The number of the version that an alias points at, "" for none.

        Asked one by one: lists of versions do not tell, and those of models may be behind.
        """
        asked = {"name": name, "alias": alias}
        try:
            found = self._get("/registered-models/alias", asked, OneVersion, field="alias")
        except SourceNotFound:
            return ""
        return found.model_version.version

    def place(self, name: str, number: int) -> Source:
        """Where a version's files lie."""
        return self.registered_version(name, str(number))

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Point an alias at a version."""
        self._send("POST", "/registered-models/alias", name=name, alias=alias, version=number)

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away, if it is there."""
        self._send("DELETE", "/registered-models/alias", name=name, alias=alias)

    def set_tag(self, name: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version."""
        said = {"name": name, "version": str(number), "key": key, "value": value}
        self._send("POST", "/model-versions/set-tag", **said)

    def delete_tag(self, name: str, number: int, key: str) -> None:
        """Take a tag of a version away, if it is there."""
        self._send("DELETE", "/model-versions/delete-tag", name=name, version=str(number), key=key)

    def move(self, name: str, number: int, stage: str) -> None:
        """Put a version into one of MLflow's own stages."""
        said = {"name": name, "version": str(number), "stage": stage}
        more = {"archive_existing_versions": False}
        self._send("POST", "/model-versions/transition-stage", **said, **more)

    def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        self._send("POST", "/registered-models/rename", name=name, new_name=new_name)

    def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> Registered:
        """Register a model."""
        said = {"name": name, "description": description, "tags": _pairs(tags)}
        answer = self._send("POST", "/registered-models/create", **said)
        return msgspec.json.decode(answer, type=OneModel).registered_model

    def create_version(
        self, name: str, source: str, run_id: str, description: str, tags: Mapping[str, str]
    ) -> Version:
        """Register a version; MLflow gives it the next number."""
        said = {"name": name, "source": source, "description": description, "tags": _pairs(tags)}
        # MLflow asks which logged model a source under its folder is of.
        logged = LOGGED.search(source)
        more = {"run_id": run_id} if run_id else {}
        more |= {"model_id": logged[0]} if logged else {}
        answer = self._send("POST", "/model-versions/create", **said, **more)
        return msgspec.json.decode(answer, type=OneVersion).model_version

    def put(self, source: Source, name: str, file: BinaryIO) -> None:
        """Stream a file to where the version's files lie, in place of the one that is there."""
        path = f"{ARTIFACTS}/{quote(self.folder(source))}/{quote(name)}"
        self._answered("PUT", path, "artifact_path", content=iter(lambda: file.read(CHUNK), b""))

    def _send(self, method: str, path: str, **said: Any) -> bytes:
        return self._answered(method, API + path, "name", json=said)


def connect(mirror: Mirror) -> RegistryClient:
    """A client of the mirror's MLflow; the configured one is the operator's and is not judged."""
    own = mirror.tracking_uri.rstrip("/") == settings.CONFIG.mlflow_tracking_uri.rstrip("/")
    return RegistryClient(
        mirror.tracking_uri, transport=None if own else Guarded(), auth=_auth(mirror)
    )


def connect_by_key(key: str) -> RegistryClient:
    """A client of the mirror of that key. Raises SourceNotFound when it was taken away."""
    mirror = Mirror.objects.filter(pk=int(key.partition(":")[2])).first()
    if mirror is None:
        raise SourceNotFound("its mirror was taken away", field="source")
    return connect(mirror)


class Bearer(httpx.Auth):
    """A bearer token."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]  # nothing is sent back
        """Add the header."""
        request.headers["Authorization"] = self._header
        yield request


def _auth(mirror: Mirror) -> httpx.Auth | None:
    if not mirror.credentials:
        return None
    kept: dict[str, str] = msgspec.json.decode(unseal(mirror.credentials))
    if "token" in kept:
        return Bearer(kept["token"])
    return httpx.BasicAuth(kept["username"], kept["password"])


def _given(asked: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in asked.items() if value}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _quoted(name: str) -> str:
    """A string of MLflow's filter grammar, which knows no escapes."""
    return f'"{name}"' if "'" in name else f"'{name}'"
