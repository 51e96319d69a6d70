"""The example pipelines: their YAML calls what exists, and the script does what it says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.ci import pipeline, rehearsal

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "examples" / "ci"
CALL = re.compile(r"^python (examples/ci/pipeline\.py) (.+)$")
TEN_MINUTES_S = 600.0


def commands(document: dict[Any, Any]) -> list[str]:
    """Shell lines of every job, in order."""
    if "jobs" in document:
        jobs = document["jobs"].values()
        return [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    jobs = [one for one in document.values() if isinstance(one, dict) and "script" in one]
    return [line for job in jobs for line in job["script"]]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_workflow__each_step__calls_what_exists(name: str) -> None:
    document = yaml.safe_load((CI / name).read_text())
    stages: list[str] = []
    for line in commands(document):
        if line.startswith("pip install"):
            assert (ROOT / line.split()[-1]).exists()
            continue
        call = CALL.match(line)
        assert call, line
        assert (ROOT / call[1]).exists()
        stages += call[2].split()
    assert tuple(stages) == pipeline.STAGES
    variables = {**document.get("env", {}), **document.get("variables", {})}
    assert {"MLFLOW_TRACKING_TOKEN", "TRAIN_COMMAND", "COMMIT_SHA", "COMMIT_TIME"} <= set(variables)
    module = variables["TRAIN_COMMAND"].split()[2].replace(".", "/")
    assert (ROOT / f"{module}.py").exists()


def test_github_workflow__the_token__is_read_from_secrets_only() -> None:
    text = (CI / "github.yml").read_text()
    assert "${{ secrets.SWITCHYARD_TOKEN }}" in text
    assert "pull_request_target" not in text


def test_pipeline__script__needs_the_standard_library_only() -> None:
    blind = (sys.executable, "-I", "-S", str(CI / "pipeline.py"), "--help")
    done = subprocess.run(blind, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{train,register,check,promote,deploy,ramp}" in done.stdout


@pytest.mark.parametrize(
    ("text", "weight", "hold_s", "requests"),
    [("5:60", 500, 60.0, 100), ("0.5:1", 50, 1.0, 100), ("100:5:50", 10_000, 5.0, 50)],
)
def test_step__in_words__is_a_step_of_the_ramp(
    text: str, weight: int, hold_s: float, requests: int
) -> None:
    expected = {"weight": weight, "hold_s": hold_s, "minimum_requests": requests}
    assert pipeline.step(text) == expected


def test_plugin__its_package__names_what_mlflow_loads(tmp_path: Path) -> None:
    project = tomllib.loads((rehearsal.PLUGIN / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"mlflow.deployments": {"switchyard": "mlflow_switchyard"}}
    site = rehearsal.installed(tmp_path / "site")
    assert (site / "mlflow_switchyard" / "__init__.py").exists()
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    assert "switchyard = mlflow_switchyard" in entry_points.read_text()


@pytest.mark.proof
def test_pipeline__on_the_platform__a_commit_is_in_production_within_ten_minutes() -> None:
    done = subprocess.run(
        (
            *(sys.executable, "-m", "embedded", "run", "--temporary", "--free-ports", "--"),
            *(sys.executable, "-m", "examples.ci.rehearsal", "--endpoints", "{endpoints}"),
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    took = [float(found) for found in re.findall(r"commit_to_production_s=([0-9.]+)", done.stdout)]
    assert len(took) == 2
    assert max(took) < TEN_MINUTES_S
