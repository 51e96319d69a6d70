"""The bucket that pullers fetch from."""

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from django.conf import settings

from apps.deployments.errors import TargetAway, TargetRefuses

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def put(key: str, body: bytes) -> None:
    """Write a small object. Raises TargetAway."""
    config = settings.CONFIG
    client = _client(
        config.s3_endpoint_url,
        config.s3_access_key_id.get_secret_value(),
        config.s3_secret_access_key.get_secret_value(),
        config.s3_region,
    )
    try:
        client.put_object(Bucket=config.s3_bucket, Key=key, Body=body)
    except (ClientError, BotoCoreError, HTTPClientError) as error:
        raise TargetAway(f"the object store is away: {error}") from error


def key_of(uri: str) -> str:
    """The key in "s3://bucket/key". Raises TargetRefuses for a bucket that pullers do not read."""
    parts = urlsplit(uri)
    if (parts.scheme, parts.netloc) != ("s3", settings.CONFIG.s3_bucket):
        raise TargetRefuses(f"{uri} is not in the bucket {settings.CONFIG.s3_bucket!r}")
    return parts.path.lstrip("/")


@lru_cache(maxsize=4)
def _client(endpoint: str, key_id: str, secret: str, region: str) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region,
        config=Config(
            connect_timeout=3,
            read_timeout=15,
            retries={"total_max_attempts": 2},
            s3={"addressing_style": "path"},
        ),
    )
