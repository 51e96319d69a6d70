"""`python -m embedded.probe NAME`: is this process ready? For health checks of containers.

Addresses come from the environment; the status is 0 when ready, and 1 with a reason otherwise.
"""

import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from embedded.errors import NotReady
from embedded.platform import relay_probe, worker_probe
from embedded.probes import Probe, http_probe, redis_probe

# Beat writes its schedule back every three minutes.
BEAT_SILENCE_S = 600


def main(name: str) -> int:
    try:
        find(name)()
    except NotReady as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


def find(name: str) -> Probe:
    environ = os.environ
    match name:
        case "web":
            return http_probe(port=_port(environ["WEB_URL"]), path="/readyz")
        case "worker":
            return worker_probe(broker_url=environ["CELERY_BROKER_URL"])
        case "beat":
            return beat_probe(home=Path(environ["SWITCHYARD_HOME"]))
        case "relay":
            return relay_probe(url=environ["DATABASE_URL"])
        case "ingest":
            return http_probe(port=int(environ["INGEST_METRICS_PORT"]), path="/metrics")
        case "gateway":
            return http_probe(port=_port(environ["GATEWAY_URL"]), path="/healthz")
        case "puller":
            return http_probe(port=_port(environ["PULLER_URL"]), path="/healthz")
        case "recorder":
            return redis_probe(url=environ["REDIS_URL"])
    raise SystemExit(f"there is no probe for {name!r}")


def beat_probe(*, home: Path) -> Probe:
    """Ready when the schedule was written lately."""

    def probe() -> None:
        written = [file.stat().st_mtime for file in home.glob("celerybeat-schedule*")]
        if not written:
            raise NotReady("no schedule was written yet")
        silence = time.time() - max(written)
        if silence > BEAT_SILENCE_S:
            raise NotReady(f"the schedule was last written {silence:.0f} s ago")

    return probe


def _port(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise SystemExit(f"{url} names no port")
    return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
