"""Sampled records in the lake: the right rows under the right names, through outages."""

import io
import threading
from collections.abc import Iterator

import boto3
import pyarrow.parquet as pq
import pytest
from botocore.client import Config
from botocore.exceptions import BotoCoreError
from django.conf import settings
from mypy_boto3_s3 import S3Client

from apps.monitoring.ingest import batches
from apps.monitoring.ingest.lake import LakeWriter, lake_client
from apps.monitoring.ingest.parquet import objects
from apps.monitoring.models import PendingRecords
from tests.monitoring.factories import AT, BOOT, GATEWAY, batch, envelope, record

DAY = 86_400


@pytest.fixture
def client(s3: str) -> Iterator[S3Client]:
    opened = lake_client()
    yield opened
    opened.close()


@pytest.fixture
def away() -> Iterator[S3Client]:
    """A client of a store that nobody runs."""
    config = Config(connect_timeout=1, retries={"total_max_attempts": 1})
    opened = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=config,
    )
    yield opened
    opened.close()


def writer(client: S3Client) -> LakeWriter:
    return LakeWriter(client, bucket=settings.CONFIG.s3_bucket, stop=threading.Event())


def read(body: bytes) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(io.BytesIO(body)).to_pylist()
    return rows


@pytest.mark.django_db(transaction=True)
def test_lake__batch_with_records__readable_under_its_own_name(client: S3Client) -> None:
    sealed = batch(7, records=(record("p1"), record("p2", features={"carrier": None})))
    batches.commit(envelopes=[envelope(sealed)])
    assert writer(client).step() == 1
    key = f"lake/records/date=2025-06-15/endpoint=flights/{GATEWAY}-{BOOT}-7.parquet"
    body = client.get_object(Bucket=settings.CONFIG.s3_bucket, Key=key)["Body"].read()
    first, second = read(body)
    assert (first["prediction_id"], first["feature_carrier"]) == ("p1", "UA")
    assert (first["feature_distance"], second["feature_distance"]) == (500.0, None)
    assert not PendingRecords.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_lake__store_away__records_are_kept_for_later(client: S3Client, away: S3Client) -> None:
    batches.commit(envelopes=[envelope(batch(records=(record(),)))])
    with pytest.raises(BotoCoreError):
        writer(away).step()
    assert PendingRecords.objects.count() == 1
    assert writer(client).step() == 1


@pytest.mark.django_db(transaction=True)
def test_lake__batch_without_records__leaves_nothing_to_write() -> None:
    batches.commit(envelopes=[envelope(batch())])
    assert not PendingRecords.objects.exists()


def test_parquet__records_of_two_days_and_endpoints__one_object_each() -> None:
    records = (record(), record(at=AT + DAY), record(endpoint="fraud"))
    names = dict(objects(batch(records=records)))
    assert sorted(key.rpartition("/")[0] for key in names) == [
        "lake/records/date=2025-06-15/endpoint=flights",
        "lake/records/date=2025-06-15/endpoint=fraud",
        "lake/records/date=2025-06-16/endpoint=flights",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 2.5, None), [1.0, 2.5, None]),
        ((True, None, False), [True, None, False]),
        (("a", 1, None), ["a", "1", None]),
        ((None, None, None), [None, None, None]),
    ],
)
def test_parquet__feature__has_one_type_in_the_file(
    values: tuple[float | str | None, ...], expected: list[object]
) -> None:
    records = tuple(record(features={"x": value}) for value in values)
    ((_, body),) = objects(batch(records=records))
    assert [row["feature_x"] for row in read(body)] == expected
