"""Sampled records into the lake, after their batch was committed and at the store's own pace.

`PendingRecords` is the durable state: a row is deleted once its objects are written. Writing an
object twice gives the same object, so a crash in between costs a repetition and loses nothing.
"""

import threading

import boto3
import structlog
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import connection, transaction
from mypy_boto3_s3 import S3Client

from apps.monitoring.ingest import metrics
from apps.monitoring.ingest.parquet import objects
from apps.monitoring.ingest.worker import BACK_OFF_S, DATABASE_ERRORS
from apps.monitoring.models import PendingRecords
from contracts.records import decode_batch

log = structlog.get_logger(__name__)
IDLE_S = 1.0
BATCHES_AT_ONCE = 8


def lake_client() -> S3Client:
    """The object store, with time limits that leave no writer hanging."""
    config = settings.CONFIG
    return boto3.client(
        "s3",
        endpoint_url=config.s3_endpoint_url,
        aws_access_key_id=config.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=config.s3_secret_access_key.get_secret_value(),
        region_name=config.s3_region,
        config=Config(
            connect_timeout=2,
            read_timeout=20,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


class LakeWriter:
    """Writes pending records; several may work side by side, each on rows of its own."""

    def __init__(self, client: S3Client, *, bucket: str, stop: threading.Event) -> None:
        self._client, self._bucket, self._stop = client, bucket, stop

    def run(self) -> None:
        """Work until `stop` is set, through outages of the store and of Postgres."""
        failures = 0
        while not self._stop.is_set():
            try:
                if not self.step():
                    self._stop.wait(IDLE_S)
                failures = 0
            except (BotoCoreError, ClientError, *DATABASE_ERRORS) as error:
                metrics.LAKE_FAILURES.inc()
                log.warning("lake.interrupted", error=str(error), attempt=failures + 1)
                connection.close()
                self._stop.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
        connection.close()

    def step(self) -> int:
        """Write some batches; how many. Raises botocore's and the database's errors."""
        with transaction.atomic():
            pending = list(
                PendingRecords.objects.select_for_update(skip_locked=True).order_by("batch_id")[
                    :BATCHES_AT_ONCE
                ]
            )
            for row in pending:
                self._write(bytes(row.envelope))
            PendingRecords.objects.filter(pk__in=[row.pk for row in pending]).delete()
        return len(pending)

    def _write(self, envelope: bytes) -> None:
        for key, body in objects(decode_batch(envelope)):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
            metrics.LAKE_OBJECTS.inc()
