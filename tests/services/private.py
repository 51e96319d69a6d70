"""The private services of one test run: free ports, a directory of their own, gone at the end."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from embedded import credentials, environment, places, ports
from embedded.processes import Process, Running, start
from embedded.services.mlflow import Mlflow
from embedded.services.postgres import APP, MLFLOW, OWNER, Postgres, Roles
from embedded.services.s3 import S3
from embedded.services.triton import Triton
from embedded.services.valkey import Valkey


@dataclass
class PrivateServices:
    """Ports and secrets are fixed at once; processes start when they are asked for."""

    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="switchyard-test-")))
    ports: dict[str, int] = field(default_factory=ports.free)
    secrets: dict[str, str] = field(default_factory=credentials.fresh)
    running: list[Running] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What the processes read. Tests own the schema: they make their databases."""
        values = environment.settings(
            home=self.home, name="test", ports=self.ports, secrets=self.secrets
        )
        app, owner = values["DATABASE_URL"], values["DATABASE_OWNER_URL"]
        return {**values, "DATABASE_URL": owner, "DATABASE_APP_URL": app}

    def start_postgres(self) -> Running:
        server = self.postgres()
        server.prepare()
        running = self._start(server.process())
        server.bootstrap(self._roles())
        return running

    def start_valkey(self) -> Running:
        server = self.valkey()
        server.prepare()
        return self._start(server.process())

    def start_s3(self) -> Running:
        server = self.s3()
        server.prepare()
        return self._start(server.process())

    def start_triton(self) -> Running:
        server = self.triton()
        server.prepare()
        return self._start(server.process())

    def start_mlflow(self) -> Running:
        server = self.mlflow()
        server.prepare()
        return self._start(server.process())

    def stop(self) -> None:
        while self.running:
            self.running.pop().stop()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.postgres().place, ignore_errors=True)

    def postgres(self) -> Postgres:
        return Postgres(
            place=places.postgres(self.home),
            port=self.ports["POSTGRES"],
            password=self.secrets["POSTGRES_PASSWORD"],
            durable=False,
        )

    def valkey(self) -> Valkey:
        return Valkey(
            place=self.home / "valkey",
            port=self.ports["VALKEY"],
            password=self.secrets["VALKEY_PASSWORD"],
        )

    def s3(self) -> S3:
        return S3(
            place=self.home / "s3",
            ports=self.ports,
            access_key_id=self.secrets["S3_ACCESS_KEY_ID"],
            secret_access_key=self.secrets["S3_SECRET_ACCESS_KEY"],
            bucket=environment.BUCKET,
        )

    def triton(self) -> Triton:
        return Triton(
            environment=places.environment("triton"),
            place=self.home / "triton",
            http_port=self.ports["TRITON_HTTP"],
            grpc_port=self.ports["TRITON_GRPC"],
            metrics_port=self.ports["TRITON_METRICS"],
            control_key=self.secrets["TRITON_CONTROL_KEY"],
        )

    def mlflow(self) -> Mlflow:
        password = self.secrets["POSTGRES_MLFLOW_PASSWORD"]
        return Mlflow(
            environment=places.environment("mlflow"),
            place=self.home / "mlflow",
            port=self.ports["MLFLOW"],
            database_url=self.postgres().url(user=MLFLOW, password=password, database="mlflow"),
            artifacts=f"s3://{environment.BUCKET}/mlflow",
            s3_url=self.s3().url,
            s3_access_key_id=self.secrets["S3_ACCESS_KEY_ID"],
            s3_secret_access_key=self.secrets["S3_SECRET_ACCESS_KEY"],
        )

    def app_url(self, database: str) -> str:
        """How the runtime role, which owns nothing, reaches a database."""
        password = self.secrets["POSTGRES_APP_PASSWORD"]
        return self.postgres().url(user=APP, password=password, database=database)

    def owner_url(self, database: str) -> str:
        password = self.secrets["POSTGRES_OWNER_PASSWORD"]
        return self.postgres().url(user=OWNER, password=password, database=database)

    def _start(self, process: Process) -> Running:
        running = start(process, log=self.home / "logs" / f"{process.name}.log")
        self.running.append(running)
        running.wait_ready()
        return running

    def _roles(self) -> Roles:
        return Roles(
            owner_password=self.secrets["POSTGRES_OWNER_PASSWORD"],
            app_password=self.secrets["POSTGRES_APP_PASSWORD"],
            mlflow_password=self.secrets["POSTGRES_MLFLOW_PASSWORD"],
            creates_databases=True,
        )
