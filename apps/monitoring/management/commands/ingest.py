"""`manage.py ingest`: counts what the gateways report, until it is told to stop."""

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from prometheus_client import start_http_server

from apps.monitoring.ingest.lake import LakeWriter, lake_client
from apps.monitoring.ingest.streams import Streams, consumer_name
from apps.monitoring.ingest.worker import Worker

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Runs workers and one writer of the lake; start as many processes as are needed."""

    help = "Ingest facts from the gateways' streams into Postgres and the lake."

    def add_arguments(self, parser: CommandParser) -> None:
        """How many workers: two keep a processor busy while the other waits for Postgres."""
        parser.add_argument("--workers", type=int, default=2)

    def handle(self, *_args: Any, workers: int, **_options: Any) -> None:
        """Work until SIGTERM or SIGINT, then finish the round at hand."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        port = settings.CONFIG.ingest_metrics_port
        if port:
            start_http_server(port, addr=settings.CONFIG.ingest_metrics_host)
        lake = LakeWriter(lake_client(), bucket=settings.CONFIG.s3_bucket, stop=stop)
        jobs = [lake.run, *(_worker(stop).run for _ in range(workers))]
        log.info("ingest.started", workers=workers, metrics_port=port)
        run_together(jobs, stop=stop)
        log.info("ingest.stopped")


def run_together(jobs: Sequence[Callable[[], None]], *, stop: threading.Event) -> None:
    """Run jobs in threads until `stop`; one that fails stops the others, and raises here."""
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        for job in running:
            job.add_done_callback(lambda _: stop.set())
        # A signal reaches the main thread between two waits.
        while not stop.wait(0.5):
            pass
    for job in running:
        job.result()


def _worker(stop: threading.Event) -> Worker:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2)
    stale_ms = round(settings.CONFIG.ingest_stale_s * 1000)
    return Worker(Streams(client, consumer=consumer_name(), stale_ms=stale_ms), stop=stop)
