"""Uploads, variants, reference profiles and cancelling, through REST."""

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.access import Principal
from apps.registry import services
from apps.registry.artifacts import digest_of_file
from apps.registry.models import ModelVersion, ReferenceProfile, Takeover
from apps.registry.selectors import get_version
from tests.registry.factories import EXAMPLE, SIGNATURE, approver, make_model, make_user, scientist
from tests.registry.onnx_models import late_model
from tests.registry.takeovers import taken_over
from tests.registry.test_api import bearer

pytestmark = pytest.mark.django_db
Send = Callable[..., Any]


@pytest.fixture
def send(client: Client, s3: str) -> Send:
    """`send(actor, method, path, body)` -> response; bytes go as they are."""

    def call(actor: Principal, method: str, path: str, body: object = None) -> Any:
        raw = isinstance(body, bytes)
        return client.generic(
            method,
            f"/api/v1/models/flights{path}",
            data=body if raw else json.dumps(body),
            content_type="application/octet-stream" if raw else "application/json",
            headers={"Authorization": bearer(actor)},
        )

    return call


def uploaded(send: Send, rows: list[dict[str, Any]] | None = None) -> ModelVersion:
    """A ready version of an uploaded file."""
    make_model()
    data = late_model()
    digest = hashlib.sha256(data).hexdigest()
    put = send(scientist(), "PUT", f"/uploads/{digest}", data)
    assert put.json() == {"sha256": digest, "size_bytes": len(data)}, put.content
    body = {
        "sha256": digest,
        "signature": SIGNATURE,
        "example": rows or EXAMPLE,
        "label_map": {"0": "on time", "1": "delayed"},
    }
    posted = send(scientist(), "POST", "/versions/upload", body)
    assert (posted.status_code, posted.json()["status"]) == (202, "pending"), posted.content
    return taken_over(get_version("flights", str(posted.json()["number"])))


def test_upload__streamed_and_registered__ready_with_its_own_digest(send: Send) -> None:
    version = uploaded(send)
    assert (version.status, version.framework) == ("ready", "onnx"), version.status_detail
    assert version.artifact_digest == hashlib.sha256(late_model()).hexdigest()
    assert version.example == EXAMPLE
    reference = send(scientist(), "GET", "/versions/1/reference").json()
    assert (reference["rows"], reference["source"], reference["comparable"]) == (
        2,
        "example",
        False,
    )
    assert ReferenceProfile.objects.get(version=version).digest == reference["digest"]
    names = [each["name"] for each in reference["profile"]["predictions"]]
    assert names == ["prediction:score", "prediction:label"]


def test_upload__that_is_not_what_was_declared__refused_and_not_kept(send: Send) -> None:
    make_model()
    digest = hashlib.sha256(b"declared").hexdigest()
    put = send(scientist(), "PUT", f"/uploads/{digest}", b"sent")
    assert (put.status_code, put.json()["errors"][0]["path"]) == (422, "$.sha256")
    posted = send(
        scientist(), "POST", "/versions/upload", {"sha256": digest, "signature": SIGNATURE}
    )
    assert (posted.status_code, posted.json()["title"]) == (422, "Not found in MLflow")
    assert send(approver(), "PUT", f"/uploads/{digest}", b"declared").status_code == 403
    assert send(scientist(), "PUT", "/uploads/abc", b"x").status_code == 422


@pytest.mark.proof
def test_upload__of_two_gigabytes__streams_in_little_memory(s3: str, tmp_path: Path) -> None:
    size, path = 2 * 1024**3, tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    with path.open("rb") as file:
        digest, _ = digest_of_file(file)
        file.seek(0)
        tracemalloc.start()
        model = make_model()
        kept = services.keep_upload(actor=scientist(), model=model, sha256=digest, body=file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert kept == size
    assert peak < 100 * 1024**2


def test_pages__of_a_converted_and_a_variant__show_evidence_and_sample(
    client: Client, send: Send
) -> None:
    version = uploaded(send)
    proof = {"rows": 30, "labels_agree": 0.97, "low": 0.84, "high": 0.99, "within": 1.0}
    version.conversion = {
        "variant": "int8",
        "proof": proof,
        "agreement": 0.97,
        "agrees": False,
        "size_bytes": [2_000, 1_000],
        "latency_ms": [0.2, 0.1],
        "accuracy": [],
    }
    version.save(update_fields=["conversion"])
    client.force_login(make_user("ada"))
    evidence = client.get("/models/flights/versions/1/evidence/").content.decode()
    assert "It answers noticeably otherwise" in evidence
    schema = client.get("/models/flights/versions/1/schema/").content.decode()
    assert "Too few rows to compare with" in schema
    assert schema.count('class="histogram"') == 5
    made = client.post("/models/flights/versions/1/derive", {"kind": "int8"})
    assert made["Location"].endswith("/models/flights/versions/2/")
    assert (
        client.post("/models/flights/versions/2/cancel", {"reason": "not now"}).status_code == 302
    )
    assert get_version("flights", "2").status == "failed"


def test_derive__half_precision__a_version_of_its_own_with_its_deltas(
    send: Send, mlflow_server: str
) -> None:
    parent = uploaded(send, rows=[{**EXAMPLE[0], "wind": float(n)} for n in range(30)])
    started = send(scientist(), "POST", "/versions/1/derive", {"kind": "fp16"})
    assert (started.status_code, started.json()["derived_from"]) == (202, "flights/1")
    variant = taken_over(get_version("flights", "2"))
    assert variant.status == "ready", variant.status_detail
    assert variant.artifact_digest != parent.artifact_digest
    held = variant.conversion
    assert (held["variant"], held["agrees"], held["proof"]["rows"]) == ("fp16", True, 30)
    assert len(held["size_bytes"]) == len(held["latency_ms"]) == 2
    again = send(scientist(), "POST", "/versions/2/derive", {"kind": "int8"})
    assert again.status_code == 409
    bad = send(scientist(), "POST", "/versions/1/derive", {"kind": "int4"})
    assert (bad.status_code, bad.json()["errors"][0]["path"]) == (400, "$.kind")


def test_cancel__while_it_waits__failed_and_a_late_worker_writes_nothing(send: Send) -> None:
    model = make_model()
    version = services.register_version(actor=scientist(), model=model, source="runs:/x/model")
    answer = send(scientist(), "POST", "/versions/1/cancel", {"reason": "wrong run"})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["status_detail"].endswith("wrong run")
    assert taken_over(version).status == "failed"
    assert send(scientist(), "POST", "/versions/1/cancel", {"reason": "again"}).status_code == 409


def test_takeover__left_by_a_dead_worker__broken_off_three_times__failed(send: Send) -> None:
    version = services.register_version(
        actor=scientist(), model=make_model(), source="runs:/x/model"
    )
    Takeover.objects.update(attempts=3, lease_expires_at="2020-01-01T00:00:00Z")
    found = taken_over(version)
    assert (found.status, found.status_detail) == ("failed", "the work broke off 3 times")
