#!/usr/bin/env python3
"""From a commit to production: what a pipeline does, stage by stage. Standard library only.

    python examples/ci/pipeline.py train register check promote deploy ramp

Runs the stages that are named, in this order; what one found (the run, the version, …) stands in
`pipeline.json` for the next, so that each may be a job of its own. Prints the time of every stage
and, at the end, `commit_to_production_s=…`. Exits with 1 and one sentence when a stage fails.

    SWITCHYARD_URL            the control plane
    MLFLOW_TRACKING_TOKEN     a service account's token (role ci): it asks, it never approves
    TRAIN_COMMAND             trains, logs to MLflow and prints the run's id as its last line
    COMMIT_SHA, COMMIT_TIME   the commit, and when it was made (ISO 8601; default: now)
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STATE = Path("pipeline.json")
POLL_S = 1.0
BUSY = {502, 503, 504}
Json = dict[str, Any]


class Failed(Exception):
    """A stage cannot go on; the message says why, `status` is the answer's, if there was one."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Switchyard:
    """The REST API with one token. Every POST carries a key: sent twice, it is done once."""

    def __init__(self, url: str, token: str) -> None:
        self.root = url.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """The decoded answer, with its Location if it has one. Raises Failed with the reason."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = hashlib.sha256(f"{key} {path}".encode()).hexdigest()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # the operator's own address
            f"{self.root}{path}", data, headers, method=method
        )
        for waited in (1, 2, 4, 8, 0):
            try:
                with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310  # as above
                    found: Json = json.loads(answer.read() or b"{}")
                    return {**found, "location": answer.headers.get("Location", "")}
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or not waited:
                    raise Failed(f"{method} {path}: {sentence(error)}", error.code) from error
            except OSError as error:
                if not waited:
                    raise Failed(f"{self.root} does not answer: {error}") from error
            time.sleep(waited)
        raise AssertionError("unreachable")

    def get(self, path: str) -> Json:
        """One resource."""
        return self.call("GET", path)

    def exists(self, path: str) -> bool:
        """Whether there is such a resource."""
        try:
            self.get(path)
        except Failed as failed:
            if failed.status != 404:
                raise
            return False
        return True

    def wait(self, path: str, until: set[str], timeout_s: float, field: str = "state") -> Json:
        """Poll a resource until its state is one of these. Raises Failed when time is up."""
        deadline, seen = time.monotonic() + timeout_s, ""
        while True:
            found = self.get(path)
            if found[field] != seen:
                seen = found[field]
                print(f"    {seen}", flush=True)
            if seen in until:
                return found
            if time.monotonic() > deadline:
                raise Failed(f"{path} is {seen} after {timeout_s:.0f} s")
            time.sleep(POLL_S)


def sentence(error: urllib.error.HTTPError) -> str:
    """The problem's own words (RFC 9457)."""
    try:
        problem = json.loads(error.read())
        faults = "; ".join(f"{one['path']}: {one['detail']}" for one in problem.get("errors", []))
        return f"{error.code} {problem['detail']} {faults}".strip()
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


class Pipeline:
    """The stages; `state` is what they found so far."""

    def __init__(self, api: Switchyard, options: argparse.Namespace, state: Json) -> None:
        self.api, self.options, self.state = api, options, state
        self.model = f"/api/v1/models/{options.model}"

    @property
    def version(self) -> str:
        """The version's address, once it is registered."""
        return f"{self.model}/versions/{self.state['version']}"

    def train(self) -> str:
        """Run TRAIN_COMMAND; the last word that it prints is the run's id."""
        command = shlex.split(os.environ["TRAIN_COMMAND"])
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  # the operator's own command
        if done.returncode or not done.stdout.split():
            raise Failed(f"{command[0]} ended with {done.returncode}")
        self.state["run_id"] = done.stdout.split()[-1]
        return f"run {self.state['run_id']}"

    def register(self) -> str:
        """Bring the run's model into the registry and wait until its artifact is there."""
        if not self.api.exists(self.model):
            new = {"name": self.options.model, "team": self.options.team}
            self.api.call("POST", "/api/v1/models", new, key=self.state["run_id"])
        body = {"run_id": self.state["run_id"], "artifact_path": self.options.artifact_path}
        made = self.api.call("POST", f"{self.model}/versions", body, key=self.state["run_id"])
        self.state["version"] = made["number"]
        if made.get("status", "ready") != "ready":
            made = self.api.wait(self.version, {"ready", "failed"}, 1_800, field="status")
            if made["status"] == "failed":
                raise Failed(f"{self.version} could not be taken over: see its page")
        return f"{self.options.model}/{made['number']}"

    def check(self) -> str:
        """Have the version examined; every check must pass."""
        begun = self.api.call("POST", f"{self.version}/validate", {}, key=self.state["run_id"])
        found = self.api.wait(begun["location"], {"passed", "failed"}, 1_800)
        bad = [f"{c['name']}: {c['detail']}" for c in found["checks"] if c["verdict"] != "pass"]
        if found["state"] == "failed":
            raise Failed("; ".join(bad))
        return f"{len(found['checks'])} checks passed"

    def promote(self) -> str:
        """Ask for each stage up to production and wait for the person who decides."""
        for stage in ("staging", "production"):
            if self.api.get(self.version)["stage"] in (stage, "production"):
                continue
            reason = f"commit {self.options.commit or 'unknown'}, run {self.state['run_id']}"
            body = {"stage": stage, "reason": reason}
            asked = self.api.call(
                "POST", f"{self.version}/promotion-requests", body, key=self.state["run_id"] + stage
            )
            print(f"    {self.api.root}/approvals/{asked['id']}/ waits for a person", flush=True)
            ended = {"approved", "rejected", "withdrawn", "expired", "void"}
            path = f"/api/v1/promotion-requests/{asked['id']}"
            found = self.api.wait(path, ended, self.options.approval_timeout)
            if found["state"] != "approved":
                raise Failed(f"{stage} was not approved: {found['state']}")
        return "approved by a person"

    def deploy(self) -> str:
        """Load the version beside what serves; the first version of all gets every request."""
        endpoint = f"/api/v1/endpoints/{self.options.model}"
        if not self.api.exists(endpoint):
            new = {"name": self.options.model, "model": self.options.model, "sample_rate": 1.0}
            self.api.call("POST", "/api/v1/endpoints", new, key=self.state["run_id"])
        self.state["first"] = not self.api.get(endpoint).get("phase")
        body = {
            "version": str(self.state["version"]),
            "replicas": self.options.replicas,
            "traffic_percentage": 100 if self.state["first"] else 0,
            "reason": f"commit {self.options.commit or 'unknown'}",
        }
        begun = self.api.call("POST", f"{self.model}/deploy", body, key=self.state["run_id"])
        path = f"/api/v1/deployments/{begun['deployment_id']}"
        found = self.api.wait(path, {"healthy", "failed"}, 1_800)
        if found["state"] == "failed":
            raise Failed(f"the deployment failed: {found['error']}")
        return "it has all traffic" if self.state["first"] else "loaded, no traffic yet"

    def ramp(self) -> str:
        """Give it traffic step by step; the platform goes back by itself when it is worse."""
        if self.state.get("first"):
            return "nothing to compare with: no ramp"
        body: Json = {
            "candidate": str(self.state["version"]),
            "reason": f"commit {self.options.commit or 'unknown'}",
        }
        if self.options.steps:
            body["steps"] = [step(text) for text in self.options.steps.split(",")]
        path = f"/api/v1/endpoints/{self.options.model}/rollouts"
        begun = self.api.call("POST", path, body, key=self.state["run_id"])
        ended = {"completed", "rolled_back", "aborted"}
        found = self.api.wait(f"/api/v1/rollouts/{begun['id']}", ended, self.options.ramp_timeout)
        if found["state"] != "completed":
            raise Failed(f"the ramp was {found['state']}: {found['state_reason']}")
        return "every user is on it"


def step(text: str) -> Json:
    """ "20:60" is 20 % for at least 60 s; "20:60:500" and at least 500 requests."""
    percent, hold_s, *more = text.split(":")
    return {
        "weight": round(float(percent) * 100),
        "hold_s": float(hold_s),
        "minimum_requests": int(more[0]) if more else 100,
    }


STAGES = ("train", "register", "check", "promote", "deploy", "ramp")


def main() -> int:
    """Run the named stages; 0 when all of them went well."""
    options = _options()
    state: Json = json.loads(STATE.read_text()) if STATE.exists() else {}
    if options.stages[0] == STAGES[0]:
        state = {"began": os.environ.get("COMMIT_TIME") or datetime.now(UTC).isoformat()}
    api = Switchyard(os.environ["SWITCHYARD_URL"], os.environ["MLFLOW_TRACKING_TOKEN"])
    pipeline = Pipeline(api, options, state)
    for name in options.stages:
        if not _ran(name, getattr(pipeline, name), state):
            return 1
    if options.stages[-1] == STAGES[-1]:
        passed = datetime.now(UTC) - datetime.fromisoformat(state["began"])
        print(f"commit_to_production_s={passed.total_seconds():.1f}")
    return 0


def _ran(name: str, stage: Callable[[], str], state: Json) -> bool:
    print(f"{name} …", flush=True)
    began = time.monotonic()
    try:
        said = stage()
    except Failed as failed:
        print(f"{name} failed: {failed}", file=sys.stderr)
        return False
    finally:
        STATE.write_text(json.dumps(state, indent=1))
    print(f"{name}_s={time.monotonic() - began:.1f}  {said}", flush=True)
    return True


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--model", default="flights")
    parser.add_argument("--team", default="flights", help="owner of the model, if it is new")
    parser.add_argument("--artifact-path", default="model", help="where the run logged it")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--steps", default="", help="5:60,20:60,100:0 (default: the tier's)")
    parser.add_argument("--commit", default=os.environ.get("COMMIT_SHA", ""))
    parser.add_argument("--approval-timeout", type=float, default=6 * 3600)
    parser.add_argument("--ramp-timeout", type=float, default=48 * 3600)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
