"""A Triton, an S3 store and a puller of this package's own: its tests stop and start them."""

import base64
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import signing
from contracts.manifest import MANIFEST_PURPOSE, Manifest, ManifestFile
from contracts.signing import SignedDocument
from dataplane.triton.config import config_pbtxt
from embedded.environment import BUCKET
from embedded.private import PrivateServices
from embedded.probes import http_probe
from embedded.processes import Process, Running, start
from tests.dataplane.triton.models import SCHEMA, classifier

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKOUT = Path(__file__).parents[3]
TOKEN = "puller-token-of-this-test"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC_KEYS = "primary:" + base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


@dataclass
class Site:
    """One machine with Triton, a puller and an object store, each of which may be away."""

    services: PrivateServices
    s3: Running
    triton: Running
    puller: Running
    client: "S3Client"
    http: httpx.Client
    issued: float = field(default_factory=time.time)

    def stop_s3(self) -> None:
        self.s3.stop()

    def start_s3(self) -> None:
        self.s3 = self.services.start_s3()

    def restart_triton(self) -> None:
        self.triton.kill()
        self.triton = self.services.start_triton()

    def restart_puller(self) -> None:
        self.puller.kill()
        self.puller = start_puller(self.services)

    def entry_dir(self, entry: str) -> Path:
        return self.services.triton().repository / entry

    def upload(self, entry: str, files: dict[str, bytes] | None = None) -> list[ManifestFile]:
        """Put an entry's files into the bucket; returns what a manifest says of them."""
        files = files if files is not None else entry_files(entry)
        listed = []
        for path, body in files.items():
            key = f"triton/{entry}/{path}"
            self.client.put_object(Bucket=BUCKET, Key=key, Body=body)
            digest = hashlib.sha256(body).hexdigest()
            listed.append(ManifestFile(path=path, sha256=digest, size=len(body), key=key))
        return listed

    def put(self, entry: str, files: list[ManifestFile]) -> httpx.Response:
        """Ask the puller for the entry, by a manifest newer than any before."""
        self.issued += 1
        document = signed(manifest(entry, files, issued_at=self.issued))
        return self.http.put(f"/v1/entries/{entry}", content=signing.encode(document))

    def state(self, entry: str) -> dict[str, Any]:
        return dict(self.http.get(f"/v1/entries/{entry}").json())

    def wait_for(self, entry: str, state: str, seconds: float = 30) -> dict[str, Any]:
        """The entry's report once it is in `state`."""
        found: dict[str, Any] = wait_until(
            lambda: self.state(entry), lambda seen: seen["state"] == state, seconds
        )
        return found

    def is_served(self, entry: str) -> bool:
        url = f"http://127.0.0.1:{self.services.ports['TRITON_HTTP']}/v2/models/{entry}/ready"
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False


def wait_until(read: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 30) -> Any:
    """Poll until `wanted`; fails with the last value read."""
    deadline = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)
    return value


def entry_files(entry: str, *, offset: float = 0.0) -> dict[str, bytes]:
    config = config_pbtxt(SCHEMA, entry, 1).encode()
    return {"config.pbtxt": config, "1/model.onnx": classifier(offset=offset)}


def manifest(entry: str, files: list[ManifestFile], *, issued_at: float = 1.0) -> Manifest:
    return Manifest(
        entry=entry,
        version=entry.replace("-v", "/"),
        runtime="python-onnx",
        files=tuple(files),
        issued_at=issued_at,
    )


def signed(value: Manifest, *, purpose: str = MANIFEST_PURPOSE) -> SignedDocument:
    return signing.sign(value, purpose=purpose, key_id="primary", private_key=KEY)


OWN_KEYS = {"PULLER_TOKEN": TOKEN, "ROUTING_PUBLIC_KEYS": PUBLIC_KEYS}


def start_puller(services: PrivateServices, keys: Mapping[str, str] = OWN_KEYS) -> Running:
    """A puller; with no `keys` it trusts the control plane of these services."""
    port = services.ports["PULLER"]
    environment = services.environment() | {
        **keys,
        "PULLER_PROBE_S": "0.2",
        "PULLER_BACKOFF_MAX_S": "1",
        "PYTHONPATH": str(CHECKOUT),
    }
    process = Process(
        name="puller",
        command=(sys.executable, "-m", "dataplane.triton.puller"),
        env=environment,
        probe=http_probe(port=port, path="/healthz"),
    )
    running = start(process, log=services.home / "logs" / "puller.log")
    running.wait_ready()
    return running


@pytest.fixture
def site(lasting_site: Site) -> Iterator[Site]:
    """Everything up, with an empty repository."""
    yield lasting_site
    for entry in lasting_site.http.get("/v1/entries").json()["entries"]:
        lasting_site.http.delete(f"/v1/entries/{entry['entry']}")


@pytest.fixture(scope="package")
def lasting_site() -> Iterator[Site]:
    """The machine that the tests of this package share."""
    services = PrivateServices()
    try:
        s3, triton = services.start_s3(), services.start_triton()
        puller = start_puller(services)
        client = boto3.client(
            "s3",
            endpoint_url=services.s3().url,
            region_name="us-east-1",
            aws_access_key_id=services.secrets["S3_ACCESS_KEY_ID"],
            aws_secret_access_key=services.secrets["S3_SECRET_ACCESS_KEY"],
        )
        http = httpx.Client(
            base_url=f"http://127.0.0.1:{services.ports['PULLER']}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30,
        )
        here = Site(services, s3, triton, puller, client, http)
        yield here
        http.close()
        client.close()
        here.puller.stop()
    finally:
        services.stop()
