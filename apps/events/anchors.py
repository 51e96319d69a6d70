"""Anchors: the chain's head, signed and put where the database's owner cannot rewrite it."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import boto3
import msgspec
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from apps.events import chain
from apps.events.chain import Fault, Head
from apps.events.models import ChainedEvent
from contracts import signing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = structlog.get_logger(__name__)

PURPOSE = "event-head"
PREFIX = "events/heads/"
TIMEOUTS = Config(
    connect_timeout=3, read_timeout=10, retries={"max_attempts": 2}, signature_version="s3v4"
)


class SignedHead(msgspec.Struct, frozen=True, kw_only=True):
    """What an anchor says: at `anchored_at` (epoch s) link `seq` had `digest` (hex)."""

    seq: int
    digest: str
    anchored_at: float


@dataclass(frozen=True)
class Report:
    """Anchors that were read and the faults they show."""

    checked: int
    faults: tuple[Fault, ...]


def anchor(client: "S3Client", head: Head) -> str:
    """Put the signed head into the store; return its key. The first anchor of a number stays.

    Otherwise whoever rewrote the chain would have the next anchor hide it. Raises BotoCoreError
    or ClientError when the store is away.
    """
    config = settings.CONFIG
    document = signing.sign(
        SignedHead(seq=head.seq, digest=head.digest.hex(), anchored_at=timezone.now().timestamp()),
        purpose=PURPOSE,
        key_id=config.routing_key_id,
        private_key=private_key(),
    )
    key = f"{PREFIX}{head.seq:012d}"
    body = signing.encode(document)
    try:
        client.put_object(Bucket=config.s3_bucket, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
            raise
        log.info("anchor.kept", seq=head.seq, key=key)
    return key


def verify(client: "S3Client") -> Report:
    """Compare every anchor with the chain: same digest at the same number, by a trusted key."""
    faults: list[Fault] = []
    checked = 0
    keys = signing.parse_public_keys(settings.CONFIG.routing_public_keys)
    for key, body in _stored(client):
        checked += 1
        try:
            said = signing.verify(signing.decode(body), SignedHead, purpose=PURPOSE, keys=keys)
        except (signing.SignatureError, msgspec.DecodeError) as error:
            faults.append(Fault(0, f"anchor {key}: {error}"))
            continue
        faults += _compare(said)
    return Report(checked, tuple(faults))


def store() -> "S3Client":
    """A client of the artifact store, with short timeouts."""
    config = settings.CONFIG
    return boto3.client(
        "s3",
        endpoint_url=config.s3_endpoint_url,
        region_name=config.s3_region,
        aws_access_key_id=config.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=config.s3_secret_access_key.get_secret_value(),
        config=TIMEOUTS,
    )


def private_key() -> Ed25519PrivateKey:
    """The control plane's signing key."""
    seed = settings.CONFIG.routing_signing_key.get_secret_value()
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed))


class Anchorer:
    """Anchors the head every so often, beside the relay: a slow store must not hold events."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="anchorer", daemon=True)
        self._anchored = 0

    def __enter__(self) -> "Anchorer":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def start(self) -> None:
        """Begin, once this process leads."""
        self._thread.start()

    def _run(self) -> None:
        client = store()
        while not self._stop.wait(settings.CONFIG.event_anchor_s):
            try:
                self._once(client)
            except (BotoCoreError, ClientError, DatabaseError) as error:
                log.warning("anchor.failed", error=str(error))
            finally:
                connection.close()

    def _once(self, client: "S3Client") -> None:
        head = chain.head()
        if head.seq > self._anchored:
            key = anchor(client, head)
            self._anchored = head.seq
            log.info("anchor.stored", seq=head.seq, key=key)


def _stored(client: "S3Client") -> Iterator[tuple[str, bytes]]:
    bucket = settings.CONFIG.s3_bucket
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    for page in pages:
        for item in page.get("Contents", ()):
            yield item["Key"], client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()


def _compare(said: SignedHead) -> list[Fault]:
    chained = ChainedEvent.objects.filter(seq=said.seq).first()
    if chained is None:
        return [Fault(said.seq, "the anchored link is missing: the chain was cut")]
    if bytes(chained.digest).hex() != said.digest:
        return [Fault(said.seq, "the link differs from its anchor: the chain was rewritten")]
    return []
