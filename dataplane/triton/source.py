"""Fetches an entry's files from the object store, going on where a broken fetch stopped."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from contracts.manifest import ManifestFile
from dataplane.triton.settings import PullerSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
_ABSENT = {"NoSuchKey", "NoSuchBucket", "404"}


class SourceAway(Exception):
    """The object store did not answer; try again later."""


class SourceMissing(Exception):
    """The object store answered that the file is not there."""


class ContentRefused(Exception):
    """The bytes are not what the manifest signed."""


class Cancelled(Exception):
    """The fetch is no longer wanted."""


class ObjectSource:
    """The bucket that manifests name keys of."""

    def __init__(self, settings: PullerSettings) -> None:
        self._bucket = settings.s3_bucket
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=settings.s3_secret_access_key,
            region_name=settings.s3_region,
            config=Config(
                connect_timeout=3,
                read_timeout=15,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )

    def fetch(
        self,
        file: ManifestFile,
        into: Path,
        *,
        cancelled: threading.Event,
        progress: Callable[[int], None],
    ) -> None:
        """Append what is missing of `file` to `into`, then check size and digest.

        `progress` hears how many bytes arrived. Blocking; runs in a thread. Raises SourceAway,
        SourceMissing, Cancelled, or ContentRefused (then `into` is gone).
        """
        into.touch()
        have = into.stat().st_size
        progress(min(have, file.size))
        if have < file.size:
            self._append(file, into, have, cancelled, progress)
        self._check(file, into)

    def _append(
        self,
        file: ManifestFile,
        into: Path,
        have: int,
        cancelled: threading.Event,
        progress: Callable[[int], None],
    ) -> None:
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=file.key, Range=f"bytes={have}-{file.size}"
            )
            with into.open("ab") as target:
                for chunk in answer["Body"].iter_chunks(CHUNK):
                    if cancelled.is_set():
                        raise Cancelled(file.path)
                    target.write(chunk)
                    progress(len(chunk))
        except ClientError as error:
            raise _translate(error, file.key) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise SourceAway(f"the object store is away: {error}") from error

    def _check(self, file: ManifestFile, path: Path) -> None:
        size = path.stat().st_size
        if size < file.size:
            raise SourceAway(f"{file.path}: {size} of {file.size} bytes arrived")
        if size == file.size and digest_of(path) == file.sha256:
            return
        path.unlink()
        raise ContentRefused(f"{file.path} does not match its signed digest or size")


def _translate(error: ClientError, key: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _ABSENT:
        return SourceMissing(f"{key} is not in the object store")
    if code in {"InvalidRange", "416"}:
        return ContentRefused(f"{key} is shorter than its signed size")
    return SourceAway(f"the object store answered {code}")


def digest_of(path: Path) -> str:
    """SHA-256 hex of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
