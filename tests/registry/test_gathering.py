"""Evidence files: copied from a real MLflow, counted once, read by the checks of a promotion."""

import json
from pathlib import Path

import pytest

from apps.events.models import Event
from apps.registry.models import EvidenceFile
from apps.registry.services.gathering import gather_evidence, keep_evidence
from tests.conftest import Configure
from tests.registry.factories import make_version
from tests.registry.mlflow_runs import log_run
from tests.registry.takeovers import imported

pytestmark = [
    pytest.mark.django_db,
    # mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
    pytest.mark.filterwarnings("ignore:::mlflow"),
]


def test_gather__what_a_run_logged__is_kept_and_counted_once(
    mlflow_server: str, s3: str, tmp_path: Path
) -> None:
    rows = [{"label": i % 2, "score": (i % 10) / 10, "carrier": "AA"} for i in range(200)]
    table = tmp_path / "evaluation.json"
    table.write_text(json.dumps(rows))
    version = imported(run_id=log_run(mlflow_server, extra_files=[str(table)]))
    kept = {row.name: row for row in gather_evidence(version=version)}
    assert set(kept) == {"evaluation.json", "requirements.txt"}
    assert kept["evaluation.json"].summary["overall"]["rows"] == 200
    assert kept["requirements.txt"].summary["requirements"]["onnxruntime"] == ""
    assert gather_evidence(version=version) == []
    assert Event.objects.filter(verb="version.evidence_kept").count() == 2


def test_gather__mlflow_away__is_postponed(configure: Configure, free_port: int) -> None:
    configure(mlflow_tracking_uri=f"http://127.0.0.1:{free_port}")
    assert gather_evidence(version=make_version(source="models:/m-1")) == []


def test_keep__no_table__says_what_is_wrong(s3: str) -> None:
    version = make_version()
    row = keep_evidence(version=version, name="evaluation.json", body=b"[]")
    assert "neither" in row.summary["fault"]
    again = keep_evidence(version=version, name="evaluation.json", body=b'[{"label": 1}]')
    assert (again.pk, EvidenceFile.objects.count()) == (row.pk, 1)
