"""Triton's repository API, which only the puller's key opens."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from contracts.addresses import parse_address

CONTROL_HEADER = "triton-switchyard-control"
CONTROL_METADATA = f"triton-grpc-protocol-{CONTROL_HEADER}"
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
PROBE_TIMEOUT_S = 5.0


class TritonAway(Exception):
    """Triton does not answer."""


class LoadInterrupted(TritonAway):
    """Triton took the request and then fell silent: an entry being loaded may have killed it."""


class LoadFailed(Exception):
    """Triton answered that it cannot load the entry; the text is Triton's own."""


class TritonControl:
    """Blocking calls, made from threads; one connection per call.

    With a `grpc_address` entries are loaded by gRPC: over HTTP, Triton answers none of the
    predictions that came by the same one of its few threads until the load is over.
    """

    def __init__(self, url: str, key: str, load_timeout_s: float, grpc_address: str = "") -> None:
        self._key = key
        self._grpc = parse_address(grpc_address) if grpc_address else None
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 8000
        self._headers = {CONTROL_HEADER: key, "Content-Type": "application/json"}
        self._load_timeout_s = load_timeout_s

    def ready_entries(self) -> frozenset[str]:
        """Names of what is loaded now. Raises TritonAway."""
        status, body = self._post("/v2/repository/index", {"ready": True}, PROBE_TIMEOUT_S)
        if status != 200:
            raise TritonAway(_reason(status, body))
        return frozenset(item["name"] for item in _decode(body))

    def load(self, entry: str) -> None:
        """Load `entry`, or reload it if its files changed; returns when it is ready.

        Raises LoadFailed, LoadInterrupted or TritonAway.
        """
        if self._grpc is not None:
            self._load_by_grpc(entry, self._grpc.host, self._grpc.port)
            return
        path = f"/v2/repository/models/{entry}/load"
        status, body = self._post(path, {}, self._load_timeout_s)
        if status == 503:
            raise TritonAway(_reason(status, body))
        if status != 200:
            raise LoadFailed(_reason(status, body))

    def unload(self, entry: str) -> None:
        """Unload `entry`; no error when it is not loaded. Raises TritonAway."""
        status, body = self._post(f"/v2/repository/models/{entry}/unload", {}, PROBE_TIMEOUT_S)
        if status >= 500:
            raise TritonAway(_reason(status, body))

    def _load_by_grpc(self, entry: str, host: str, port: int) -> None:
        try:
            socket.create_connection((host, port), PROBE_TIMEOUT_S).close()
        except OSError as error:
            raise TritonAway(f"Triton is away: {error}") from error
        request = service_pb2.RepositoryModelLoadRequest(model_name=entry)
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            metadata = ((CONTROL_METADATA, self._key),)
            try:
                stub.RepositoryModelLoad(request, timeout=self._load_timeout_s, metadata=metadata)
            except grpc.RpcError as error:
                if error.code() in SILENT:
                    raise LoadInterrupted(f"Triton fell silent: {error.details()}") from error
                raise LoadFailed(error.details()) from error

    def _post(self, path: str, body: object, timeout_s: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            raise TritonAway(f"Triton is away: {error}") from error
        try:
            connection.request("POST", path, json.dumps(body), self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise LoadInterrupted(f"Triton fell silent: {error!r}") from error
        finally:
            connection.close()


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise TritonAway("Triton's answer is no JSON") from error


def _reason(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"Triton answered {status}"
