"""The environment that every process of the platform reads, built from ports and secrets."""

from collections.abc import Mapping
from pathlib import Path

from embedded.services.postgres import APP, OWNER

BUCKET = "switchyard"


def settings(
    *, home: Path, name: str, ports: Mapping[str, int], secrets: Mapping[str, str]
) -> dict[str, str]:
    """All agreed names for a platform on loopback; `name` is demo, test or production."""
    return {
        "SWITCHYARD_HOME": str(home),
        "SWITCHYARD_ENV": name,
        **_stores(ports, secrets),
        **_addresses(home, ports),
        **{key: secrets[key] for key in PASSED_ON},
    }


PASSED_ON = (
    "DJANGO_SECRET_KEY",
    "ROUTING_SIGNING_KEY",
    "ROUTING_KEY_ID",
    "ROUTING_PUBLIC_KEYS",
    "UNIT_HASH_KEY",
    "TRITON_CONTROL_KEY",
    "PULLER_TOKEN",
    "METRICS_TOKEN",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
)


def _stores(ports: Mapping[str, int], secrets: Mapping[str, str]) -> dict[str, str]:
    postgres = f"127.0.0.1:{ports['POSTGRES']}/switchyard"
    redis = f"redis://:{secrets['VALKEY_PASSWORD']}@127.0.0.1:{ports['VALKEY']}"
    return {
        "DATABASE_URL": f"postgresql://{APP}:{secrets['POSTGRES_APP_PASSWORD']}@{postgres}",
        "DATABASE_OWNER_URL": (
            f"postgresql://{OWNER}:{secrets['POSTGRES_OWNER_PASSWORD']}@{postgres}"
        ),
        "REDIS_URL": f"{redis}/0",
        "CELERY_BROKER_URL": f"{redis}/1",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports['S3']}",
        "S3_REGION": "us-east-1",
        "S3_BUCKET": BUCKET,
    }


def _addresses(home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": _http(ports["MLFLOW"]),
        "TRITON_URL": _http(ports["TRITON_HTTP"]),
        "TRITON_GRPC_URL": f"127.0.0.1:{ports['TRITON_GRPC']}",
        "TRITON_METRICS_URL": _http(ports["TRITON_METRICS"]) + "/metrics",
        "TRITON_REPOSITORY": str(home / "triton" / "repository"),
        "PULLER_URL": _http(ports["PULLER"]),
        "WEB_URL": _http(ports["WEB"]),
        "GATEWAY_URL": _http(ports["GATEWAY_HTTP"]),
        "GATEWAY_GRPC_URL": f"127.0.0.1:{ports['GATEWAY_GRPC']}",
        "GATEWAY_NAME": "gateway-1",
        "INGEST_METRICS_PORT": str(ports["INGEST_METRICS"]),
        "GATEWAY_STATE": str(home / "gateway"),
    }


def _http(port: int) -> str:
    return f"http://127.0.0.1:{port}"
