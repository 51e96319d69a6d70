"""What the people of the story do, each through the REST API, waiting for the result."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from examples.flights.client import Account, Refused
from examples.flights.ledger import Deviation, watch
from examples.flights.models import LABEL_MAP
from examples.flights.register import MODEL_NAME, Registered
from examples.flights.scene import ENDPOINT, Scene, semantic
from examples.flights.sightings import Books
from examples.flights.traffic import Answer

VALIDATION_TIMEOUT_S = 60.0
EXPLAINER_S = 120.0
DEPLOYMENT_TIMEOUT_S = 90.0
FINISHED_ROLLOUTS = frozenset({"completed", "rolled_back", "aborted"})


def import_version(scientist: Account, done: Registered) -> str:
    """Bring one MLflow version into the registry; its sequence number as text."""
    body = {
        "mlflow_name": MODEL_NAME,
        "mlflow_version": done.mlflow_version,
        "artifact_path": "model",
        "semantic_version": semantic(done.model.name),
        "label_map": LABEL_MAP,
        "decision_threshold": done.model.threshold,
    }
    return str(scientist.post(f"/models/{MODEL_NAME}/versions", body)["number"])


def validate(scene: Scene, name: str) -> dict[str, Any]:
    """Validate and wait; the finished validation, passed or failed."""
    started = scene.scientist.post(f"/models/{MODEL_NAME}/versions/{scene.number(name)}/validate")
    finished: dict[str, Any] = watch(
        lambda: scene.scientist.get(f"/validations/{started['id']}"),
        until=lambda found: found["state"] in {"passed", "failed"},
        describe=lambda found: f"validation of {name}: {found['state']}",
        tell=scene.ledger.tell,
        timeout_s=VALIDATION_TIMEOUT_S,
    )
    return finished


def ask_for_promotion(scene: Scene, name: str, *, stage: str) -> str:
    """The scientist's request; its id."""
    path = f"/models/{MODEL_NAME}/versions/{scene.number(name)}/promotion-requests"
    reason = f"flights {name} for {stage}"
    return str(scene.scientist.post(path, {"stage": stage, "reason": reason})["id"])


def approve(account: Account, request: str) -> Any:
    """Sign it. Refused for whoever may not."""
    return account.post(f"/promotion-requests/{request}/approve", {"reason": "evidence read"})


def promote(scene: Scene, name: str, *, stages: tuple[str, ...] = ("staging", "production")) -> str:
    """The scientist asks, the approver signs, for each stage in turn; the stage reached."""
    for stage in stages:
        approve(scene.approver, ask_for_promotion(scene, name, stage=stage))
    return stage_of(scene, name)


def stage_of(scene: Scene, name: str) -> str:
    """The version's stage as the registry says it."""
    version = scene.scientist.get(f"/models/{MODEL_NAME}/versions/{scene.number(name)}")
    return str(version["stage"])


def deploy(scene: Scene, name: str, *, traffic: int) -> dict[str, Any]:
    """Deploy with `traffic` percent and wait until the test prediction succeeded."""
    body = {
        "version": scene.number(name),
        "replicas": 1,
        "instance_type": "cpu",
        "traffic_percentage": traffic,
        "reason": f"bring {name} up",
    }
    started = scene.scientist.post(f"/models/{MODEL_NAME}/deploy", body)
    finished: dict[str, Any] = watch(
        lambda: scene.scientist.get(f"/deployments/{started['deployment_id']}"),
        until=lambda found: found["state"] in {"healthy", "failed"},
        describe=lambda found: f"deployment of {name}: {found['state']}",
        tell=scene.ledger.tell,
        timeout_s=DEPLOYMENT_TIMEOUT_S,
    )
    if finished["state"] != "healthy":
        raise Deviation(f"deployment of {name} failed: {finished}")
    return finished


def start_rollout(scene: Scene, name: str, *, steps: tuple[int, ...]) -> str:
    """A ramp over these percentages; the rollout's id."""
    pace = scene.pace
    body = {
        "candidate": scene.number(name),
        "steps": [
            {
                "weight": 100 * percent,
                "hold_s": pace.hold_s,
                "minimum_requests": pace.minimum_requests,
                "minimum_labels": pace.minimum_labels,
            }
            for percent in steps
        ],
        "reason": f"ramp {name}",
    }
    return str(scene.operator.post(f"/endpoints/{ENDPOINT}/rollouts", body)["id"])


def watch_rollout(scene: Scene, rollout: str, *, timeout_s: float) -> dict[str, Any]:
    """Follow a ramp to its end, one line per change; the finished rollout."""
    seen: dict[str, Any] = {}

    def look() -> dict[str, Any]:
        seen.update(scene.operator.get(f"/rollouts/{rollout}"))
        return seen

    try:
        return watch(
            look,
            until=lambda found: found["state"] in FINISHED_ROLLOUTS,
            describe=_describe,
            tell=scene.ledger.tell,
            timeout_s=timeout_s,
        )
    except Deviation as deviation:
        raise Deviation(f"{deviation}; {_last_look(seen)}") from deviation


def _describe(rollout: dict[str, Any]) -> str:
    steps, index = rollout["steps"], rollout["step_index"]
    if index < 0:
        return f"rollout {rollout['state']}"
    weight = steps[index]["weight"] / 100
    return f"rollout {rollout['state']}, step {index + 1} of {len(steps)}: {weight:g} %"


def _last_look(rollout: dict[str, Any]) -> str:
    sentences = [verdict["sentence"] for verdict in rollout.get("verdicts", [])]
    return "; ".join(sentences) or "the control plane has not judged it"


def weights(scene: Scene) -> dict[str, int]:
    """Basis points of traffic by sequence number, of the phase that runs."""
    phase = scene.operator.get(f"/endpoints/{ENDPOINT}")["phase"]
    return {
        str(variant["version"]).rpartition("/")[2]: int(variant["weight"])
        for variant in phase["variants"]
        if variant["weight"]
    }


def put_weights(scene: Scene, basis_points: dict[str, int]) -> Any:
    """The split editor's call: v1 as stable, everything else as canary."""
    endpoint = scene.operator.get(f"/endpoints/{ENDPOINT}")
    variants = [
        {
            "variant": "stable" if name == "v1" else "canary",
            "role": "stable" if name == "v1" else "canary",
            "version": scene.number(name),
            "weight": weight,
        }
        for name, weight in basis_points.items()
    ]
    body = {
        "expected_revision": endpoint["revision"],
        "weights": variants,
        "reason": "by hand",
    }
    return scene.operator.put(f"/endpoints/{ENDPOINT}/weights", body)


def predict_pinned(scene: Scene, number: str) -> Any:
    """A client's question that names the version. Refused where it may not be asked."""
    flight = scene.registered["v1"].model.example[0]
    question = {"model": ENDPOINT, "features": flight, "user_id": "N0", "version": number}
    with Account(url=scene.places.gateway, token=scene.places.tokens["client"]) as client:
        return client.post("/v1/predict", question)


def explain(scene: Scene) -> Any:
    """Why one flight is called late or not; asked until the explainer has read what it needs."""
    flight = scene.registered["v2"].model.example[0]
    question = {"model": ENDPOINT, "features": flight, "user_id": "N0"}

    def ask() -> Any:
        with Account(url=scene.places.gateway, token=scene.places.tokens["client"]) as client:
            try:
                return client.post("/v1/explain", question)
            except Refused as refused:
                if refused.status not in (409, 504):
                    raise
                return {"refused": str(refused)}

    return watch(
        ask,
        until=lambda found: "refused" not in found,
        describe=lambda found: str(found.get("refused", "explained")),
        tell=scene.ledger.tell,
        timeout_s=EXPLAINER_S,
    )


def retire(scene: Scene, name: str) -> str:
    """Take a version out of service for good; the stage reached."""
    path = f"/models/{MODEL_NAME}/versions/{scene.number(name)}"
    reason = {"reason": "replaced"}
    if stage_of(scene, name) == "production":
        scene.operator.post(f"{path}/deprecate", reason)
    return str(scene.operator.post(f"{path}/archive", reason)["stage"])


def restore_phase_of(scene: Scene, name: str) -> Any:
    """Bring back the phase in which this version had all traffic."""
    wanted = [f"{MODEL_NAME}/{scene.number(name)}"]
    phases = scene.operator.listing(f"/endpoints/{ENDPOINT}/phases")
    (phase, *_) = [p for p in phases if [v["version"] for v in p["variants"]] == wanted]
    body = {
        "phase": phase["number"],
        "expected_revision": scene.operator.get(f"/endpoints/{ENDPOINT}")["revision"],
        "reason": "back to how it was",
    }
    return scene.operator.post(f"/endpoints/{ENDPOINT}/restore", body)


def books(scene: Scene) -> Books:
    """What the control plane has counted since the story began."""
    traffic = scene.operator.get(f"/endpoints/{ENDPOINT}/traffic", since=scene.began_at)
    performance = {
        name: scene.operator.get(f"/models/{MODEL_NAME}/versions/{number}/performance")["accuracy"]
        for name, number in scene.numbers.items()
    }
    answered: Counter[str] = Counter()
    for line in traffic["variants"]:  # one for each version that had the role
        answered[line["variant"]] += line["requests"] - line["failed"]
    return Books(
        answered=dict(answered),
        failed=traffic["totals"]["failed"],
        recorded={semantic(n): found["sampled"] for n, found in performance.items()},
        labelled={semantic(n): found["total"] for n, found in performance.items()},
    )


def start_experiment(scene: Scene, control: str, treatment: str) -> Any:
    """Plan an experiment between two versions and give users its arms."""
    arms = [
        {"variant": "control", "version": scene.number(control), "weight": 5_000, "control": True},
        {"variant": "treatment", "version": scene.number(treatment), "weight": 5_000},
    ]
    plan = {
        "name": f"{control} against {treatment}",
        "endpoint": ENDPOINT,
        "hypothesis": f"{treatment} calls more flights right",
        "arms": arms,
    }
    planned = scene.scientist.post("/experiments", plan)
    return scene.scientist.post(f"/experiments/{planned['id']}/start", {"reason": "try it"})


def assignment(scene: Scene, answer: Answer) -> tuple[int, str]:
    """Generation and version that this user had when the answer came, as the registry knows."""
    found = scene.operator.get(
        f"/endpoints/{ENDPOINT}/assignment",
        unit=answer.unit,
        at=datetime.fromtimestamp(answer.at, UTC).isoformat(),
    )
    number = str(found["version"]).rpartition("/")[2]
    name = next(name for name, known in scene.numbers.items() if known == number)
    return int(found["generation"]), semantic(name)
