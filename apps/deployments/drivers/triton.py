"""One or several Triton servers, each with a puller beside it.

The entry's configuration is written here and uploaded; the graph stays where the registry keeps
it, and the signed manifest names it by the digest that was approved. So what a server loads is
what was approved, whatever happens to the store.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
import msgspec
from django.conf import settings

from apps.deployments.drivers import opaque, store
from apps.deployments.drivers.base import Placement
from apps.deployments.drivers.probe import explain, predict
from apps.deployments.errors import TargetAway, TargetRefuses
from apps.deployments.models import Target
from apps.registry.models import ModelVersion
from apps.routing.services import sign_document
from contracts.manifest import MANIFEST_PURPOSE, EntryState, Manifest, ManifestFile
from dataplane.triton.config import (
    EXPLAIN_RUNTIME,
    NATIVE_RUNTIME,
    PYTHON_RUNTIME,
    Runtime,
    config_pbtxt,
)
from dataplane.triton.explainer import NotExplainable, explainer_pbtxt

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
ABSENT = Placement(state="absent")
# The least advanced server tells how far the whole target is.
ORDER = ("failed", "absent", "fetching", "verifying", "loading", "ready")


@dataclass(frozen=True)
class Server:
    """A Triton's gRPC address, and the base URL of its puller.

    `address` is where gateways call it, by default the same: "http://host:port" is quicker.
    """

    puller_url: str
    grpc_address: str
    address: str = ""


class TritonDriver:
    """Places entries through pullers. See `drivers.base.Driver`."""

    def __init__(self, target: Target) -> None:
        chosen: Mapping[str, object] = target.settings
        servers = msgspec.convert(chosen.get("servers") or [], list[Server])
        self._servers = servers or [_server_of_environment()]
        self._backends = msgspec.convert(chosen.get("backends") or [], list[str])
        self._runtime = msgspec.convert(chosen.get("runtime") or PYTHON_RUNTIME, Runtime)
        token = settings.CONFIG.puller_token.get_secret_value()
        self._headers = {"Authorization": f"Bearer {token}"}

    @property
    def addresses(self) -> Sequence[str]:
        """Where gateways call the servers."""
        return [server.address or server.grpc_address for server in self._servers]

    def place(self, *, version: ModelVersion, entry: str, replicas: int) -> None:
        """Upload configuration and manifest, and hand the manifest to every puller."""
        self.require(version=version)
        if version.triton_backend in opaque.LAYOUTS:
            config, files = opaque.config_of(version, entry, replicas), opaque.files_of(version)
            self._hand_over(version, entry, NATIVE_RUNTIME, config, files)
            return
        config = config_pbtxt(version.schema(), entry, replicas, runtime=self._runtime)
        self._hand_over(version, entry, self._runtime, config, (_graph(version),))

    def require(self, *, version: ModelVersion) -> None:
        """Raise TargetRefuses unless the servers have the backend that the version needs."""
        opaque.require_backend(version, self._backends)

    def look(self, *, entry: str) -> Placement:
        """The state of the server that is furthest behind."""
        found = [self._look(server, entry) for server in self._servers]
        return min(found, key=lambda placement: ORDER.index(placement.state))

    def ask(self, *, version: ModelVersion, entry: str) -> None:
        """A test prediction on every server."""
        for server in self._servers:
            predict(server.grpc_address, version=version, entry=entry)

    def place_explainer(self, *, version: ModelVersion, entry: str) -> None:
        """As `place`: the same graph, the background sample, and a configuration of its own."""
        try:
            config = explainer_pbtxt(version.schema(), entry)
        except NotExplainable as error:
            raise TargetRefuses(str(error)) from error
        sample = ManifestFile(
            path="1/background.json",
            sha256=version.background_digest,
            size=version.background_size,
            key=store.key_of(version.background_uri),
        )
        self._hand_over(version, entry, EXPLAIN_RUNTIME, config, (_graph(version), sample))

    def explain(self, *, version: ModelVersion, entry: str) -> None:
        """A test explanation on every server."""
        for server in self._servers:
            explain(server.grpc_address, version=version, entry=entry)

    def remove(self, *, entry: str) -> None:
        """Unload on every server; one that does not know the entry is done."""
        for server in self._servers:
            answer = self._call("DELETE", server, f"/v1/entries/{entry}")
            if answer.status_code != httpx.codes.NOT_FOUND:
                _require(answer)

    def _hand_over(
        self,
        version: ModelVersion,
        entry: str,
        runtime: str,
        config: str,
        files: tuple[ManifestFile, ...],
    ) -> None:
        """Publish configuration and manifest, and tell every puller."""
        manifest = Manifest(
            entry=entry,
            version=version.version_key,
            runtime=runtime,
            files=(_publish_config(entry, config.encode()), *files),
            issued_at=time.time(),
        )
        document = sign_document(manifest, purpose=MANIFEST_PURPOSE)
        store.put(f"triton/{entry}/manifest.signed", document)
        for server in self._servers:
            _require(self._call("PUT", server, f"/v1/entries/{entry}", content=document))

    def _look(self, server: Server, entry: str) -> Placement:
        answer = self._call("GET", server, f"/v1/entries/{entry}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return ABSENT
        _require(answer)
        state = msgspec.json.decode(answer.content, type=EntryState)
        return Placement(state=state.state, progress=state.progress, error=state.error)

    def _call(
        self, method: str, server: Server, path: str, *, content: bytes | None = None
    ) -> httpx.Response:
        try:
            return httpx.request(
                method,
                server.puller_url + path,
                content=content,
                headers=self._headers,
                timeout=TIMEOUT,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise TargetAway(f"the puller at {server.puller_url} is away: {error}") from error


def _graph(version: ModelVersion) -> ManifestFile:
    """The graph, where the registry keeps it."""
    return ManifestFile(
        path="1/model.onnx",
        sha256=version.artifact_digest,
        size=version.size_bytes,
        key=store.key_of(version.artifact_uri),
    )


def _publish_config(entry: str, config: bytes) -> ManifestFile:
    """Put the configuration where its digest says."""
    digest = hashlib.sha256(config).hexdigest()
    key = f"triton/{entry}/config-{digest[:16]}.pbtxt"
    store.put(key, config)
    return ManifestFile(path="config.pbtxt", sha256=digest, size=len(config), key=key)


def _server_of_environment() -> Server:
    config = settings.CONFIG
    return Server(
        puller_url=config.puller_url,
        grpc_address=config.triton_grpc_url,
        address=config.triton_url.rstrip("/"),
    )


def _require(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    detail = _detail(answer)
    if answer.is_server_error:
        raise TargetAway(detail)
    raise TargetRefuses(detail)


def _detail(answer: httpx.Response) -> str:
    try:
        said = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        said = ""
    return f"the puller answered {answer.status_code}: {said}".rstrip(": ")
