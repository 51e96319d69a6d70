"""Signed heads in the store against a chain that somebody rewrote or cut."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from apps.events import anchors, chain
from apps.events.models import Event
from tests.conftest import Configure
from tests.events.test_chain import tamper

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.django_db
Add = Callable[..., Event]


@pytest.fixture
def client(s3: str) -> Iterator["S3Client"]:
    """The store, without the anchors of other tests."""
    made = anchors.store()
    for key, _ in anchors._stored(made):
        made.delete_object(Bucket="switchyard", Key=key)
    yield made
    made.close()


@pytest.fixture
def anchored(client: "S3Client", add: Add) -> str:
    add()
    add()
    chain.append_committed()
    return anchors.anchor(client, chain.head())


@pytest.mark.usefixtures("anchored")
def test_verify__untouched__anchor_agrees(client: "S3Client") -> None:
    report = anchors.verify(client)
    assert (report.checked, report.faults) == (1, ())


@pytest.mark.usefixtures("anchored")
def test_verify__tail_cut__found(client: "S3Client") -> None:
    tamper("DELETE FROM event_chain WHERE seq = 2")
    (fault,) = anchors.verify(client).faults
    assert "cut" in fault.detail


@pytest.mark.usefixtures("anchored")
def test_verify__whole_chain_rewritten__found(client: "S3Client") -> None:
    tamper("DELETE FROM event_chain")
    tamper("UPDATE events_event SET actor_key = 'user:eve'")
    chain.append_committed()
    assert list(chain.verify()) == []
    (fault,) = anchors.verify(client).faults
    assert "rewritten" in fault.detail


@pytest.mark.usefixtures("anchored")
def test_anchor__number_anchored_before_the_chain_was_rewritten__still_found(
    client: "S3Client",
) -> None:
    tamper("DELETE FROM event_chain")
    tamper("UPDATE events_event SET actor_key = 'user:eve'")
    chain.append_committed()
    anchors.anchor(client, chain.head())
    (fault,) = anchors.verify(client).faults
    assert "rewritten" in fault.detail


def test_verify__forged_anchor__found(client: "S3Client", anchored: str) -> None:
    body = client.get_object(Bucket="switchyard", Key=anchored)["Body"].read()
    forged = body.replace(b'"seq":2', b'"seq":1')
    assert forged != body
    client.put_object(Bucket="switchyard", Key=anchored, Body=forged)
    (fault,) = anchors.verify(client).faults
    assert "bad signature" in fault.detail


@pytest.mark.django_db(transaction=True)
def test_anchorer__head_moved__is_anchored_by_itself(
    client: "S3Client", add: Add, configure: Configure
) -> None:
    configure(event_anchor_s=0.02)
    add()
    chain.append_committed()
    with anchors.Anchorer() as anchorer:
        anchorer.start()
        deadline = time.monotonic() + 20
        while not list(anchors._stored(client)):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
    assert anchors.verify(client) == anchors.Report(checked=1, faults=())
