"""Hints: MLflow says by webhook that something changed. A hint is believed in one thing only.

It makes the next look come sooner; what is there is read from MLflow itself. A signed one (MLflow
3: HMAC-SHA256 of "id.timestamp.body" under the mirror's secret) also says which model to look at
closely. Of anybody else's one poll in UNSIGNED_EVERY comes, whatever they send.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import structlog
from django.db import transaction

from apps.mirror.models import Mirror, MirroredModel
from apps.notices.signing import unseal

log = structlog.get_logger(__name__)
MOST_BYTES = 64 * 1024
FRESH = timedelta(minutes=5)
SIGNED_EVERY = timedelta(seconds=2)
UNSIGNED_EVERY = timedelta(seconds=60)
SIGNATURE, TIMESTAMP, DELIVERY = (
    "X-MLflow-Signature",
    "X-MLflow-Timestamp",
    "X-MLflow-Delivery-Id",
)


class Named(msgspec.Struct):
    """What was changed."""

    name: str = ""


class Hint(msgspec.Struct):
    """The body of MLflow's webhooks, as far as it is read."""

    data: Named = msgspec.field(default_factory=Named)


@transaction.atomic
def take_hint(*, mirror_id: int, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Poll sooner because of a webhook; whether it will. No mirror, no poll, and no word of it."""
    mirror = Mirror.objects.select_for_update().filter(pk=mirror_id, paused_at=None).first()
    if mirror is None or len(body) > MOST_BYTES:
        return False
    signed = is_signed(unseal(mirror.hint_secret), headers, body, now=now)
    if signed:
        _look_closely(mirror, body)
    every = SIGNED_EVERY if signed else UNSIGNED_EVERY
    earliest = max(now, (mirror.hinted_at or now) + every) if mirror.hinted_at else now
    if not signed and earliest > now:
        return False
    # A mirror that MLflow keeps waiting is not hurried by what says that it is MLflow.
    held = mirror.failures > 0
    due = mirror.due_at if held else min(mirror.due_at, earliest)
    Mirror.objects.filter(pk=mirror.pk).update(hinted_at=now, due_at=due)
    log.info("mirror.hinted", mirror=mirror.pk, signed=signed)
    return True


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Whether MLflow signed this with the secret, within the last minutes."""
    delivery, moment = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    if not moment.isdecimal() or abs(now.timestamp() - int(moment[:12])) > FRESH.total_seconds():
        return False
    said = b".".join((delivery.encode(), moment.encode(), body))
    digest = hmac.new(secret.encode(), said, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode())


def _look_closely(mirror: Mirror, body: bytes) -> None:
    try:
        name = msgspec.json.decode(body, type=Hint).data.name
    except msgspec.DecodeError:
        return
    MirroredModel.objects.filter(mirror=mirror, name=name).update(updated_ms=0)
