"""An MLflow tracking server in an environment of its own: Postgres behind, artifacts in S3."""

from dataclasses import dataclass
from pathlib import Path

from embedded.errors import PartMissing
from embedded.probes import http_probe
from embedded.processes import Process

# The application itself: `mlflow server` would load the library once more, to start just this.
APPLICATION = "mlflow.server.fastapi_app:app"
QUIET = ("--log-level", "warning", "--timeout-graceful-shutdown", "3")


@dataclass(frozen=True, kw_only=True)
class Mlflow:
    """`environment` is the virtual environment with the server; `artifacts` an s3:// address."""

    environment: Path
    place: Path
    port: int
    database_url: str
    artifacts: str
    s3_url: str
    s3_access_key_id: str
    s3_secret_access_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._python().exists():
            raise PartMissing(f"no MLflow in {self.environment}: run `make install`")

    def process(self) -> Process:
        where = ("--host", "127.0.0.1", "--port", str(self.port))
        return Process(
            name="mlflow",
            command=(str(self._python()), "-m", "uvicorn", APPLICATION, *where, *QUIET),
            cwd=self.place,
            env=self._env(),
            needs=frozenset({"roles"}),
            ports={"MLFLOW": self.port},
            probe=http_probe(port=self.port, path="/health"),
        )

    def _python(self) -> Path:
        return self.environment / "bin" / "python"

    def _env(self) -> dict[str, str]:
        """What `mlflow server` would set for the application that it starts.

        Addresses with passwords go by the environment: command lines are public.
        """
        return {
            "_MLFLOW_SERVER_FILE_STORE": _for_psycopg2(self.database_url),
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": self.artifacts,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_S3_ENDPOINT_URL": self.s3_url,
            "AWS_ACCESS_KEY_ID": self.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DO_NOT_TRACK": "true",
            "GIT_PYTHON_REFRESH": "quiet",
            "HOME": str(self.place),
            "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        }


def _for_psycopg2(url: str) -> str:
    """Name the driver that this environment has."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
