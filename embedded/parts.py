"""The services we did not write, as they are configured in one installation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import environment, places
from embedded.services.mlflow import Mlflow
from embedded.services.postgres import MLFLOW, Postgres, Roles
from embedded.services.s3 import S3
from embedded.services.triton import Triton
from embedded.services.valkey import Valkey


@dataclass(kw_only=True)
class Parts:
    """`ports` by the names of `embedded.ports`, `secrets` by those of `embedded.credentials`.

    `store_url`, `bucket` and `mlflow_database` are for stores that live elsewhere.
    """

    home: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    durable: bool = True
    owner_creates_databases: bool = False
    store_url: str = ""
    bucket: str = environment.BUCKET
    mlflow_database: str = ""

    def postgres(self) -> Postgres:
        return Postgres(
            place=places.postgres(self.home),
            port=self.ports["POSTGRES"],
            password=self.secrets["POSTGRES_PASSWORD"],
            durable=self.durable,
        )

    def roles(self) -> Roles:
        return Roles(
            owner_password=self.secrets["POSTGRES_OWNER_PASSWORD"],
            app_password=self.secrets["POSTGRES_APP_PASSWORD"],
            mlflow_password=self.secrets["POSTGRES_MLFLOW_PASSWORD"],
            creates_databases=self.owner_creates_databases,
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
            bucket=self.bucket,
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
        ours = self.postgres().url(user=MLFLOW, password=password, database="mlflow")
        return Mlflow(
            environment=places.environment("mlflow"),
            place=self.home / "mlflow",
            port=self.ports["MLFLOW"],
            database_url=self.mlflow_database or ours,
            artifacts=f"s3://{self.bucket}/mlflow",
            s3_url=self.store_url or self.s3().url,
            s3_access_key_id=self.secrets["S3_ACCESS_KEY_ID"],
            s3_secret_access_key=self.secrets["S3_SECRET_ACCESS_KEY"],
        )
