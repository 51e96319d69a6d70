"""`python -m dataplane.recorder`: ship the gateway's facts until SIGTERM or SIGINT."""

import signal
import threading
from pathlib import Path

import redis
import structlog

from dataplane.recorder.ship import Shipper
from dataplane.settings import RecorderSettings

log = structlog.get_logger()

RETRY_S = 0.5


def main() -> None:
    """Ends after the turn that is under way."""
    settings = RecorderSettings()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    run(settings, ended)


def run(settings: RecorderSettings, ended: threading.Event) -> None:
    """Turn after turn, over every process of the gateway; Redis may come and go."""
    client = redis.Redis.from_url(
        settings.redis_url, socket_timeout=5.0, socket_connect_timeout=2.0
    )
    shippers: dict[str, Shipper] = {}
    log.info("recorder.started", gateway=settings.gateway_name)
    away = False
    while not ended.is_set():
        for name, root in settings.spools.items():
            if name not in shippers:
                shippers[name] = _shipper(settings, name, root, client)
        try:
            for shipper in shippers.values():
                shipper.turn()
            away = False
        except redis.RedisError as error:
            if not away:
                log.warning("redis.lost", error=str(error))
            away = True
        ended.wait(RETRY_S if away else settings.recorder_poll_s)
    log.info("recorder.stopped", gateway=settings.gateway_name)


def _shipper(settings: RecorderSettings, name: str, root: Path, client: "redis.Redis") -> Shipper:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Shipper(
        root=root,
        gateway=name,
        client=client,
        window=settings.recorder_window,
        reship_s=settings.recorder_reship_s,
    )


if __name__ == "__main__":
    main()
