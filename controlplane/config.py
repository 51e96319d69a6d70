"""Every setting of the control plane, typed; read from the environment once.

The environment is what `embedded/` writes, or what an operator sets. Secrets have no defaults:
a process without them refuses to start and names the variable.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Config(BaseSettings):
    """The control plane's settings; a field `redis_url` is the variable `REDIS_URL`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    switchyard_env: Literal["demo", "test", "staging", "production"] = "demo"
    switchyard_home: Path = Path(".switchyard")
    debug: bool = False

    django_secret_key: SecretStr
    allowed_hosts: str = "127.0.0.1,localhost,[::1]"
    web_url: str = "http://127.0.0.1:17000"
    secure_cookies: bool = False
    static_root: Path | None = None
    session_age_s: int = 43_200
    session_idle_s: int = 7_200
    step_up_s: int = 900
    require_totp: bool = False
    orphan_grace_days: int = 14

    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_name: str = "Single sign-on"
    oidc_allowed_domains: str = ""
    oidc_groups_claim: str = "groups"
    oidc_group_roles: str = ""
    oidc_default_team: str = ""

    database_url: SecretStr
    database_pool: int = 0
    database_owner_url: SecretStr | None = None
    redis_url: SecretStr
    celery_broker_url: SecretStr | None = None

    s3_endpoint_url: str
    s3_access_key_id: SecretStr
    s3_secret_access_key: SecretStr
    s3_region: str = "us-east-1"
    s3_bucket: str = "switchyard"

    mlflow_tracking_uri: str
    triton_grpc_url: str = "127.0.0.1:17011"
    triton_url: str = ""
    triton_ca: Path | None = None
    triton_cert: Path | None = None
    triton_key: Path | None = None
    puller_url: str = "http://127.0.0.1:17013"
    puller_token: SecretStr
    gateway_url: str = "http://127.0.0.1:17001"

    routing_signing_key: SecretStr
    routing_key_id: str = "primary"
    routing_public_keys: str = ""

    outbound_allow: str = ""
    outbound_ports: str = "443,8443"
    outbound_ca_file: Path | None = None
    email_url: SecretStr | None = None
    email_from: str = "Switchyard <switchyard@localhost>"
    mail_digest_hour: int = 8
    webhook_timeout_s: float = 10.0
    webhook_disable_after_days: int = 3
    webhook_retention_days: int = 30

    mirror_poll_s: float = 60.0
    mirror_full_sweep_s: float = 3600.0
    mirror_verify_s: float = 86_400.0

    event_anchor_s: float = 600.0
    metrics_token: SecretStr | None = None

    ingest_metrics_port: int = 0
    ingest_stale_s: float = 15.0
    ingest_metrics_host: str = "127.0.0.1"
    traffic_retention_days: int = 400
    prediction_retention_days: int = 90

    log_level: str = "INFO"


@lru_cache(maxsize=1)
def load() -> Config:
    """The process's settings. Raises pydantic.ValidationError naming each bad or missing one."""
    return Config()


def database(url: str, *, pool: int = 0) -> dict[str, object]:
    """A Django DATABASES entry from `postgresql://user:password@host:port/name`.

    With a `pool` threads share at most so many connections; without, each keeps its own.
    """
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": 0 if pool else 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "switchyard",
            # A process stuck inside a transaction must not hold everyone's locks.
            "options": "-c idle_in_transaction_session_timeout=60s",
            **({"pool": {"min_size": 1, "max_size": pool, "timeout": 10}} if pool else {}),
        },
    }
