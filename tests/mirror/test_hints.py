"""Webhooks of MLflow make a poll come sooner, and nothing else."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.mirror.models import Mirror, MirroredModel
from apps.mirror.schedule import LONGEST_WAIT, wait
from tests.mirror.factories import make_mirror, make_secret_mirror

BODY = b'{"entity": "model_version", "action": "created", "data": {"name": "late"}}'


def later(mirror: Mirror) -> None:
    moment = timezone.now() + timedelta(hours=1)
    Mirror.objects.filter(pk=mirror.pk).update(due_at=moment, hinted_at=None)


def is_due(mirror: Mirror) -> bool:
    return Mirror.objects.to_sweep(now=timezone.now()).filter(pk=mirror.pk).exists()


def signed(secret: str, body: bytes = BODY, *, age_s: int = 0) -> dict[str, str]:
    """Headers as `mlflow.webhooks.delivery` makes them."""
    moment = str(int(timezone.now().timestamp()) - age_s)
    said = f"d1.{moment}.{body.decode()}".encode()
    digest = hmac.new(secret.encode(), said, hashlib.sha256).digest()
    return {
        "X-MLflow-Delivery-Id": "d1",
        "X-MLflow-Timestamp": moment,
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
    }


def send(client: Client, mirror: Mirror, headers: dict[str, str]) -> None:
    address = f"/mirrors/{mirror.pk}/hints"
    answer = client.post(address, BODY, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.django_db
def test_hint__signed__polls_at_once_and_looks_closely(client: Client) -> None:
    mirror, secret = make_secret_mirror()
    MirroredModel.objects.create(mirror=mirror, name="late", updated_ms=5)
    later(mirror)
    send(client, mirror, signed(secret))
    assert is_due(mirror)
    assert MirroredModel.objects.get().updated_ms == 0


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["none", "forged", "old"])
def test_hint__unsigned__polls_once_a_minute_and_names_nothing(client: Client, kind: str) -> None:
    mirror, secret = make_secret_mirror()
    MirroredModel.objects.create(mirror=mirror, name="late", updated_ms=5)
    headers = {
        "none": {},
        "forged": signed("whsec_another"),
        "old": signed(secret, age_s=3600),
    }[kind]
    later(mirror)
    send(client, mirror, headers)
    assert is_due(mirror)
    Mirror.objects.update(due_at=timezone.now() + timedelta(hours=1))
    send(client, mirror, headers)
    assert not is_due(mirror)
    assert MirroredModel.objects.get().updated_ms == 5


@pytest.mark.django_db
def test_hint__of_no_mirror_or_one_that_waits__is_not_believed(client: Client) -> None:
    mirror = make_mirror()
    later(mirror)
    Mirror.objects.update(failures=3)
    send(client, mirror, {})
    assert not is_due(mirror)
    assert (
        client.post("/mirrors/99/hints", BODY, content_type="application/json").status_code == 202
    )


def test_wait__grows_to_its_limit_and_jitter_takes_off_up_to_half() -> None:
    waits = [wait(failures, jitter=0.0) for failures in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=2)
    assert waits[-1] == LONGEST_WAIT
    assert wait(1, jitter=1.0) == timedelta(seconds=1)
