"""The puller's settings, from the environment."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings


class PullerSettings(BaseSettings):
    """Names are those of the environment, in lower case.

    `triton_grpc_url` is what entries are loaded by, so that predictions over HTTP go on meanwhile.
    `puller_listen` ("host:port") is what the puller binds, `puller_url` what others call it;
    without the first the second serves for both. `puller_state` holds what must survive a
    restart and lies on the same file system as the repository, so that entries move by rename.
    """

    triton_repository: Path
    triton_url: str
    triton_grpc_url: str = ""
    triton_control_key: str = Field(repr=False)
    puller_url: str
    puller_token: str = Field(min_length=16, repr=False)
    puller_listen: str = ""
    puller_state: Path | None = None
    routing_public_keys: str
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_access_key: str = Field(repr=False)
    s3_region: str = "us-east-1"
    s3_bucket: str
    puller_probe_s: float = 1.0
    puller_load_timeout_s: float = 300.0
    puller_backoff_max_s: float = 15.0

    @property
    def state(self) -> Path:
        """Where desired entries and half-fetched files are kept."""
        return self.puller_state or self.triton_repository / ".puller"

    @property
    def listen(self) -> tuple[str, int]:
        """Host and port to bind."""
        parts = urlsplit(f"//{self.puller_listen}" if self.puller_listen else self.puller_url)
        if parts.hostname is None or parts.port is None:
            raise ValueError("PULLER_LISTEN must be host:port")
        return parts.hostname, parts.port
