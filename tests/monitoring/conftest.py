"""Workers that finish what a test put on the streams."""

import threading
from collections.abc import Callable

import pytest
import redis

from apps.monitoring.ingest.streams import Streams, consumer_name
from apps.monitoring.ingest.worker import Worker

MakeWorker = Callable[[], Worker]


@pytest.fixture
def make_worker(redis_client: "redis.Redis") -> MakeWorker:
    """Makes workers that take over each other's unfinished entries at once."""

    def make() -> Worker:
        streams = Streams(redis_client, consumer=consumer_name(), stale_ms=0)
        return Worker(streams, stop=threading.Event())

    return make


@pytest.fixture
def worker(make_worker: MakeWorker) -> Worker:
    return make_worker()
