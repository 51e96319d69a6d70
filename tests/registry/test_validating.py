"""Validations: what they find, and that none is lost."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db.models import F
from django.utils import timezone
from onnx import TensorProto

from apps.accounts.errors import PermissionDenied
from apps.events.models import Event
from apps.registry import services, tasks
from apps.registry.models import ModelVersion, Validation
from apps.registry.probe import Job, probe
from tests.conftest import Configure
from tests.registry.factories import (
    EXAMPLE,
    approver,
    make_version,
    put_artifact,
    scientist,
    service,
)
from tests.registry.onnx_models import greedy_model, identity_model, late_model

pytestmark = pytest.mark.django_db


def validated(version: ModelVersion) -> Validation:
    started = services.start_validation(actor=scientist(), version=version)
    services.run_validation(validation_id=started.pk)
    return Validation.objects.get(pk=started.pk)


def findings(validation: Validation) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in validation.checks}


def detail(validation: Validation, name: str) -> str:
    return next(str(check["detail"]) for check in validation.checks if check["name"] == name)


def test_validation__good_version__passes_with_figures(s3: str) -> None:
    found = validated(make_version(store=True))
    assert found.state == "passed"
    assert findings(found) == dict.fromkeys(
        ("artifact", "loads", "signature", "example", "latency", "metrics"), "pass"
    )
    figures = {check["name"]: check["figures"] for check in found.checks}
    assert figures["latency"]["runs"] == 200
    assert 0 < figures["latency"]["p50_ms"] <= figures["latency"]["p95_ms"] < 500
    assert figures["example"]["rows"] == 2


def test_validation__finished__events_tell_of_it(s3: str) -> None:
    version = make_version(store=True)
    validated(version)
    events = list(Event.objects.for_object(version.key).values_list("verb", "actor_key"))
    assert events == [
        ("validation.passed", "system:validation"),
        ("validation.started", "user:ada"),
    ]


def test_validation__tampered_artifact__fails_and_is_not_opened(s3: str) -> None:
    version = make_version(store=True)
    put_artifact("artifacts/flights/1/model.onnx", late_model(bias=3.0))
    found = validated(version)
    assert found.state == "failed"
    assert findings(found)["artifact"] == "fail"
    assert findings(found)["loads"] == "error"
    event = Event.objects.get(verb="validation.failed")
    assert "SHA-256" in event.reason


def test_validation__artifact_gone__fails(s3: str) -> None:
    found = validated(make_version(number=77))
    assert (found.state, findings(found)["artifact"]) == ("failed", "fail")


def test_validation__no_onnx__fails_in_words(s3: str) -> None:
    found = validated(make_version(store=True, artifact=b"\x80\x04\x95 a pickle"))
    assert findings(found)["loads"] == "fail"


def test_validation__graph_that_onnxruntime_refuses__fails(s3: str) -> None:
    broken = late_model().replace(b"LabelEncoder", b"LabelEncodes")
    found = validated(make_version(store=True, artifact=broken))
    assert findings(found)["loads"] == "fail"
    assert "onnxruntime refuses it" in detail(found, "loads")


def test_validation__schema_not_of_this_graph__fails(s3: str) -> None:
    other = identity_model({"numeric": (TensorProto.FLOAT, 2)})
    found = validated(make_version(store=True, artifact=other))
    assert findings(found)["signature"] == "fail"


def test_validation__answers_that_are_no_probabilities__fails(s3: str) -> None:
    found = validated(make_version(store=True, artifact=late_model(scale=7.0)))
    assert findings(found)["example"] == "fail"
    assert "no valid binary output" in detail(found, "example")


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ([], "no input example"),
        ([{"carrier": "UA", "distance": "far", "wind": 1.0}], "distance"),
        ([{**EXAMPLE[0], "humid": 1.0}], "humid"),
    ],
)
def test_validation__bad_example__fails_in_words(
    s3: str, example: list[dict[str, object]], words: str
) -> None:
    found = validated(make_version(store=True, example=example))
    assert findings(found)["example"] == "fail"
    assert words in detail(found, "example")


@pytest.mark.parametrize("metrics", [{}, {"auc": None}])
def test_validation__metrics_missing__fails(s3: str, metrics: dict[str, float]) -> None:
    found = validated(make_version(store=True, metrics=metrics))
    assert (found.state, findings(found)["metrics"]) == ("failed", "fail")


def test_start__while_one_is_open__gives_that_one() -> None:
    version = make_version()
    first = services.start_validation(actor=scientist(), version=version)
    assert services.start_validation(actor=scientist(), version=version) == first
    assert Event.objects.filter(verb="validation.started").count() == 1


def test_start__by_a_pipeline__allowed_and_by_an_approver__refused() -> None:
    version = make_version()
    with pytest.raises(PermissionDenied):
        services.start_validation(actor=approver(), version=version)
    started = services.start_validation(actor=service("pipeline", "ada"), version=version)
    assert started.requested_by == "service:pipeline"


def test_run__twice__examined_once(s3: str) -> None:
    started = services.start_validation(actor=scientist(), version=make_version(store=True))
    for _ in range(2):
        tasks.run_validation(id=str(started.pk), later="argument")
    started.refresh_from_db()
    assert (started.state, started.attempts) == ("passed", 1)


def test_run__unknown_validation__does_nothing() -> None:
    services.run_validation(validation_id=uuid4())


def abandoned(version: ModelVersion, *, attempts: int = 1) -> UUID:
    """A validation whose worker died: its lease is over."""
    started = services.start_validation(actor=scientist(), version=version)
    past = timezone.now() - timedelta(seconds=1)
    Validation.objects.filter(pk=started.pk).update(
        state="running", attempts=attempts, lease_expires_at=past
    )
    return started.pk


def test_resume__worker_died__another_takes_it_up(s3: str) -> None:
    pk = abandoned(make_version(store=True))
    assert services.resume_validations(now=timezone.now()) == 1
    services.run_validation(validation_id=pk)
    assert Validation.objects.get(pk=pk).state == "passed"


def test_run__while_another_worker_has_it__does_nothing(s3: str) -> None:
    pk = abandoned(make_version(store=True))
    later = timezone.now() + timedelta(minutes=5)
    Validation.objects.filter(pk=pk).update(lease_expires_at=later)
    assert services.resume_validations(now=timezone.now()) == 0
    services.run_validation(validation_id=pk)
    assert Validation.objects.get(pk=pk).state == "running"


def test_run__broke_off_again_and_again__fails_in_the_end(s3: str) -> None:
    pk = abandoned(make_version(store=True), attempts=3)
    services.run_validation(validation_id=pk)
    found = Validation.objects.get(pk=pk)
    assert (found.state, findings(found)) == ("failed", {"completion": "error"})


def test_run__overtaken_by_another_worker__result_not_written(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = services.start_validation(actor=scientist(), version=make_version(store=True))

    def overtake(_job: Job) -> object:
        Validation.objects.filter(pk=started.pk).update(attempts=F("attempts") + 1)
        return probe(_job)

    monkeypatch.setattr("apps.registry.examination.probe", overtake)
    services.run_validation(validation_id=started.pk)
    started.refresh_from_db()
    assert (started.state, started.checks) == ("running", [])


def test_run__version_changed_meanwhile__fails(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version = make_version(store=True)

    def change(_job: Job) -> object:
        ModelVersion.objects.filter(pk=version.pk).update(decision_threshold=0.9)
        return probe(_job)

    monkeypatch.setattr("apps.registry.examination.probe", change)
    found = validated(version)
    assert (found.state, findings(found)["content"]) == ("failed", "fail")


def test_run__store_away__given_back_for_another_attempt(
    configure: Configure, free_port: int
) -> None:
    configure(s3_endpoint_url=f"http://127.0.0.1:{free_port}")
    started = services.start_validation(actor=scientist(), version=make_version())
    services.run_validation(validation_id=started.pk)
    assert services.resume_validations(now=timezone.now()) == 1
    started.refresh_from_db()
    assert (started.state, started.attempts) == ("running", 0)


def test_probe__model_that_never_answers__is_ended(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(late_model())
    found = probe(Job(path, make_version().schema(), EXAMPLE), timeout_s=0.001)
    assert (found.loaded, found.stage) == (False, "start")
    assert "took longer" in found.error


def test_probe__model_that_wants_all_memory__is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(greedy_model())
    found = probe(Job(path, make_version().schema(), EXAMPLE))
    assert found.error
    assert not found.answer


def test_probe__sees_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "probe.py"
    script.write_text("import os\ndef main(job): return {'error': ','.join(os.environ)}")
    monkeypatch.setattr("apps.registry.probe.SCRIPT", script)
    found = probe(Job(script, make_version().schema(), EXAMPLE))
    assert "DATABASE_URL" not in found.error
    assert "DJANGO_SECRET_KEY" not in found.error


def test_probe__that_dies__is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "probe.py"
    script.write_text("import os\ndef main(job): os.abort()")
    monkeypatch.setattr("apps.registry.probe.SCRIPT", script)
    found = probe(Job(script, make_version().schema(), EXAMPLE))
    assert "crashed with signal 6" in found.error
