"""Settings of the gateway and the recorder, from the environment (names in lower case)."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings

PROCESSES = "processes"
Fsync = Literal["none", "seal", "always"]


class GatewaySettings(BaseSettings):
    """What one gateway process needs.

    `gateway_url` and `gateway_grpc_url` are what clients call; `gateway_listen` and
    `gateway_grpc_listen` ("host:port") what is bound when that differs. `gateway_state` keeps
    the spool, the routing table and the overrides. `gateway_store_url` is the Redis that features
    are looked up in, by default that of the routing table. Times in seconds, sizes in bytes.
    """

    gateway_name: str = Field(default="gateway-1", pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    gateway_url: str = "http://127.0.0.1:17001"
    gateway_listen: str = ""
    gateway_grpc_url: str = ""
    gateway_grpc_listen: str = ""
    gateway_state: Path = Path(".switchyard/gateway")
    gateway_processes: int = Field(default=1, ge=0, le=256)
    # Which of several processes on one port this is, from 1: the parent says it.
    gateway_process: int = Field(default=0, ge=0, le=256)
    redis_url: str = Field(repr=False)
    routing_public_keys: str
    unit_hash_key: str = Field(repr=False, min_length=32)

    gateway_store_url: str = Field(default="", repr=False)
    gateway_poll_s: float = 1.0
    gateway_warm_s: float = 0.1
    gateway_probe_s: float = 1.0
    gateway_max_body: int = 1_048_576
    gateway_max_head: int = 16_384
    gateway_max_headers: int = 64
    gateway_max_pipelined: int = 64
    gateway_max_held: int = 268_435_456
    gateway_max_connections: int = 10_000
    gateway_max_connections_per_address: int = Field(default=1_000, ge=0)
    gateway_request_timeout_s: float = 10.0
    gateway_idle_timeout_s: float = 75.0
    gateway_leave_s: float = 0.0
    gateway_drain_s: float = 10.0
    gateway_max_in_flight: int = 4
    gateway_triton_ca: Path | None = None
    gateway_triton_cert: Path | None = None
    gateway_triton_key: Path | None = None
    gateway_cache_budget_s: float = 0.02
    gateway_cache_judged_s: float = Field(default=300.0, gt=0)
    gateway_cache_redis_url: str = Field(default="", repr=False)
    gateway_segment_s: float = 0.4
    gateway_segment_bytes: int = 4_194_304
    gateway_spool_bytes: int = 2_147_483_648
    gateway_fsync: Fsync = "none"

    @property
    def listen(self) -> tuple[str, int]:
        """Host and port of the HTTP socket."""
        return _address(self.gateway_listen or urlsplit(self.gateway_url).netloc)

    @property
    def grpc_listen(self) -> str:
        """ "host:port" of the gRPC socket; empty = none."""
        return self.gateway_grpc_listen or self.gateway_grpc_url

    @property
    def name(self) -> str:
        """This process's name in the fleet."""
        return self.name_of(self.gateway_process)

    def name_of(self, process: int) -> str:
        """The name of one of several processes; 0 is the only one."""
        return _name(self.gateway_name, process)

    def home_of(self, process: int) -> Path:
        """What one of several processes alone writes."""
        return self.gateway_state / PROCESSES / str(process) if process else self.gateway_state

    @property
    def spool(self) -> Path:
        """Facts that are not ingested yet."""
        return self.home_of(self.gateway_process) / "spool"

    @property
    def routing(self) -> Path:
        """The last routing table and clients."""
        return self.home_of(self.gateway_process) / "routing"

    @property
    def rates(self) -> Path:
        """How much of their rates clients have used, which all processes share."""
        return self.gateway_state / PROCESSES / "rates"

    @property
    def overrides(self) -> Path:
        """Withdrawals, which all processes of this gateway share."""
        return self.gateway_state / "overrides"


class RecorderSettings(BaseSettings):
    """What the recorder beside a gateway needs."""

    gateway_name: str = "gateway-1"
    gateway_state: Path = Path(".switchyard/gateway")
    redis_url: str = Field(repr=False)
    recorder_poll_s: float = 0.1
    recorder_reship_s: float = 10.0
    recorder_window: int = 64

    @property
    def spools(self) -> dict[str, Path]:
        """Where the gateway's processes put their segments, now or in former runs, by name."""
        several = sorted((self.gateway_state / PROCESSES).glob("[0-9]*"))
        own = {_name(self.gateway_name, int(each.name)): each / "spool" for each in several}
        return {self.gateway_name: self.gateway_state / "spool", **own}


def _name(gateway: str, process: int) -> str:
    return f"{gateway}.{process}" if process else gateway


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{text!r} is not host:port")
    return parts.hostname, parts.port
