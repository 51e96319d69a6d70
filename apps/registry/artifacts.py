"""The S3 store of artifacts. Files stream; none is held in memory as a whole."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from django.conf import settings

from apps.registry.errors import ArtifactStoreUnavailable

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from mypy_boto3_s3 import S3Client

CHUNK = 1024 * 1024
PART = 16 * CHUNK


class ArtifactMissing(Exception):
    """The store has no object of that key."""


class Readable(Protocol):
    """Whatever bytes can be read from, once."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""


class ArtifactStore:
    """One bucket of an S3 store."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    @classmethod
    def configured(cls) -> "ArtifactStore":
        """The store that the settings name."""
        config = settings.CONFIG
        client = _client(
            config.s3_endpoint_url,
            config.s3_access_key_id.get_secret_value(),
            config.s3_secret_access_key.get_secret_value(),
            config.s3_region,
        )
        return cls(client, config.s3_bucket)

    def uri(self, key: str) -> str:
        """The address of an object: "s3://bucket/key"."""
        return f"s3://{self.bucket}/{key}"

    def key(self, uri: str) -> str:
        """The key in an address made by `uri`. Raises ArtifactMissing for another bucket."""
        parts = urlsplit(uri)
        if parts.scheme != "s3" or parts.netloc != self.bucket:
            raise ArtifactMissing(f"{uri} is not in the bucket {self.bucket!r}")
        return parts.path.lstrip("/")

    def upload(
        self, file: BinaryIO, key: str, *, moved: Callable[[int], None] | None = None
    ) -> None:
        """Write `file` from its start, in parts, telling `moved` of the bytes of each."""
        file.seek(0)
        with _errors():
            self.client.upload_fileobj(file, self.bucket, key, Config=_transfer(), Callback=moved)

    def receive(self, body: Readable, key: str) -> None:
        """Write what can only be read once, in parts."""
        with _errors():
            self.client.upload_fileobj(body, self.bucket, key, Config=_transfer())  # type: ignore[arg-type]  # it is only read

    def size(self, key: str) -> int:
        """Bytes of an object. Raises ArtifactMissing."""
        with _errors():
            return int(self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"])

    def copy(self, source: str, target: str) -> None:
        """Copy within the bucket, without the bytes passing through here."""
        place = {"Bucket": self.bucket, "Key": source}
        with _errors():
            self.client.copy(place, self.bucket, target, Config=_transfer())  # type: ignore[arg-type]  # a CopySource

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with _errors():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def download(self, key: str, into: BinaryIO) -> str:
        """Stream an object into `into`; SHA-256 hex of what came. Raises ArtifactMissing."""
        digest = hashlib.sha256()
        with _errors():
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(CHUNK):
                digest.update(chunk)
                into.write(chunk)
        return digest.hexdigest()


def digest_of_file(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 hex and size in bytes of all that is in the file."""
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 404:
            raise ArtifactMissing(str(error)) from error
        raise ArtifactStoreUnavailable(f"the artifact store refuses: {error}") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise ArtifactStoreUnavailable(f"the artifact store is away: {error}") from error


def _transfer() -> "TransferConfig":
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)


@lru_cache(maxsize=4)
def _client(endpoint: str, key_id: str, secret: str, region: str) -> "S3Client":
    # Imported on first use: every Django process comes by here, and few ever ask the store.
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 2},
            s3={"addressing_style": "path"},
        ),
    )
