"""NVIDIA Triton of our own, from the `nvidia-pytriton` wheel in an environment of its own.

Only the puller may load and unload models: the repository calls want a key. Triton takes that
key on its command line only, so it is visible to the accounts of this machine.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from embedded import libpython
from embedded.errors import PartMissing
from embedded.libpython import PYTHON
from embedded.probes import http_probe
from embedded.processes import Process

CONTROL_HEADER = "triton-switchyard-control"
RESTRICTED = "model-repository,shared-memory,trace,logging"


@dataclass(frozen=True, kw_only=True)
class Triton:
    """`environment` is the virtual environment with the wheel; `place` holds backends/ and
    repository/ (what is loaded stays there, and serves while S3 is away)."""

    environment: Path
    place: Path
    http_port: int
    grpc_port: int
    metrics_port: int
    control_key: str

    @property
    def repository(self) -> Path:
        return self.place / "repository"

    def prepare(self) -> None:
        """Lay out the backend directory: the wheel keeps the Python backend's stub elsewhere."""
        if libpython.directory() is None:
            raise PartMissing(
                f"Triton's Python backend needs {libpython.NAME}, which this machine lacks and "
                f"`make install` could not fetch: install it (Debian: libpython{PYTHON})"
            )
        self.repository.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = self._server()
        if not server.exists():
            raise PartMissing(f"no Triton in {self.environment}: run `make install`")
        backend = self.place / "backends" / "python"
        stub = f"python_backend_stubs/{PYTHON}/triton_python_backend_stub"
        shutil.rmtree(self.place / "backends", ignore_errors=True)
        shutil.copytree(server / "backends" / "python", backend)
        shutil.copy2(server / stub, backend)

    def process(self) -> Process:
        libraries = self._packages() / "nvidia_pytriton.libs"
        return Process(
            name="triton",
            command=(str(self._server() / "bin" / "tritonserver"), *self._options()),
            cwd=self.place,
            env={
                "LD_LIBRARY_PATH": f"{libraries}:{libpython.directory()}",
                "PYTHONPATH": str(self._packages()),
                "HOME": str(self.place),
                "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin",
                "OMP_NUM_THREADS": "1",
            },
            ports={
                "TRITON_HTTP": self.http_port,
                "TRITON_GRPC": self.grpc_port,
                "TRITON_METRICS": self.metrics_port,
            },
            probe=http_probe(port=self.http_port, path="/v2/health/ready"),
            stop_seconds=20,
        )

    def _options(self) -> list[str]:
        restriction = f"{RESTRICTED}:{CONTROL_HEADER}={self.control_key}"
        return [
            f"--model-repository={self.repository}",
            f"--backend-directory={self.place / 'backends'}",
            "--model-control-mode=explicit",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
            f"--http-port={self.http_port}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-port={self.metrics_port}",
            f"--http-restricted-api={restriction}",
            f"--grpc-restricted-protocol={restriction}",
            "--allow-gpu-metrics=false",
            "--exit-timeout-secs=5",
        ]

    def _packages(self) -> Path:
        return self.environment / "lib" / f"python{PYTHON}" / "site-packages"

    def _server(self) -> Path:
        return self._packages() / "pytriton" / "tritonserver"
