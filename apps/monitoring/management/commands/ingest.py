"""`manage.py ingest`: counts what the gateways report, until it is told to stop."""

import signal
import threading
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection
from prometheus_client import start_http_server

from apps.monitoring.ingest.lake import LakeWriter, lake_client
from apps.monitoring.ingest.streams import Streams, consumer_name
from apps.monitoring.ingest.worker import Worker

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Runs one ingest worker and one writer of the lake; start as many processes as are needed."""

    help = "Ingest facts from the gateways' streams into Postgres and the lake."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Work until SIGTERM or SIGINT, then finish the round at hand."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        port = settings.CONFIG.ingest_metrics_port
        if port:
            start_http_server(port, addr=settings.CONFIG.ingest_metrics_host)
        lake = LakeWriter(lake_client(), bucket=settings.CONFIG.s3_bucket, stop=stop)
        writer = threading.Thread(target=lake.run, name="lake")
        writer.start()
        log.info("ingest.started", metrics_port=port)
        _worker(stop).run()
        writer.join()
        connection.close()
        log.info("ingest.stopped")


def _worker(stop: threading.Event) -> Worker:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2)
    stale_ms = round(settings.CONFIG.ingest_stale_s * 1000)
    return Worker(Streams(client, consumer=consumer_name(), stale_ms=stale_ms), stop=stop)
