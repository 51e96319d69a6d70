"""The chapters of the story, in order; each is one step of the ledger."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from examples.flights import operations, sightings
from examples.flights.client import Refused
from examples.flights.ledger import Deviation, Step, watch
from examples.flights.register import MODEL_NAME, register_all
from examples.flights.scene import ENDPOINT, TEAM, Scene, semantic

# Status and the end of the problem's type.
FORBIDDEN = (403, "")
NOT_APPROVED = (409, "version-not-approved")
UNKNOWN_VERSION = (404, "unknown_version")
SETTLE_S = 3.0
RAMP_S = 120.0
EXPLAINED = 20
BOOKS_S = 30.0


def train_and_register(scene: Scene) -> None:
    with scene.ledger.step("train v1-v4, register with MLflow", expected="4 versions") as step:
        done = register_all(scene.places.mlflow)
        scene.registered = {entry.model.name: entry for entry in done}
        step.require(len(done) == 4, f"{len(done)} versions")
        accuracies = (f"{d.model.name} {d.model.metrics['accuracy']:.3f}" for d in done)
        step.see(f"offline accuracy {', '.join(accuracies)}")


def import_versions(scene: Scene) -> None:
    with scene.ledger.step("import from MLflow", expected="flights/1 to flights/4") as step:
        scene.scientist.post(
            "/models",
            {
                "name": MODEL_NAME,
                "team": TEAM,
                "tier": "standard",
                "description": "Will this flight arrive more than 15 minutes late?",
            },
        )
        for name, done in scene.registered.items():
            scene.numbers[name] = operations.import_version(scene.scientist, done)
        step.require(list(scene.numbers.values()) == list("1234"), str(scene.numbers))
        step.see(", ".join(f"{name} is flights/{n}" for name, n in scene.numbers.items()))


def validate_all(scene: Scene) -> None:
    with scene.ledger.step("validate each", expected="all four pass, v3 and v4 too") as step:
        for name in scene.numbers:
            found = operations.validate(scene, name)
            step.require(found["state"] == "passed", f"{name}: {found['checks']}")
            step.see(f"{name} passed")


def promote_with_four_eyes(scene: Scene) -> None:
    expected = "own approval and a program's: 403, audited; another person's approval counts"
    with scene.ledger.step("promote v1", expected=expected) as step:
        request = operations.ask_for_promotion(scene, "v1", stage="staging")
        for who, account in (
            ("the scientist's own", scene.scientist),
            ("the pipeline's", scene.ci),
        ):
            _refused(step, who, FORBIDDEN, partial(operations.approve, account, request))
        events = scene.operator.listing("/events", verb="promotion.approval_refused")
        actors = sorted(e["actor_key"] for e in events if request in str(e))
        step.require(len(actors) == 2, f"promotion.approval_refused by {actors}")
        operations.approve(scene.approver, request)
        stage = operations.promote(scene, "v1", stages=("production",))
        step.require(stage == "production", f"v1 stands in {stage}")
        step.see(f"audited; approved by another person: {stage}")


def deploy_first(scene: Scene) -> None:
    with scene.ledger.step("deploy v1 and route 100 %", expected="v1 has all traffic") as step:
        scene.operator.post(
            "/endpoints",
            {"name": ENDPOINT, "model": MODEL_NAME, "unit_kind": "user", "sample_rate": 1.0},
        )
        operations.deploy(scene, "v1", traffic=100)
        weights = operations.weights(scene)
        step.require(weights == {"1": 10_000}, str(weights))
        step.see("healthy, 100 %")


def refuse_the_unapproved(scene: Scene) -> None:
    expected = "v2, not approved, is refused by every way"
    with scene.ledger.step("route an unapproved version", expected=expected) as step:
        ways: dict[str, Callable[[], Any]] = {
            "weights": lambda: operations.put_weights(scene, {"v1": 9_000, "v2": 1_000}),
            "deploy": lambda: operations.deploy(scene, "v2", traffic=10),
            "rollout": lambda: operations.start_rollout(scene, "v2", steps=(5, 100)),
            "experiment": lambda: operations.start_experiment(scene, "v1", "v2"),
        }
        for way, call in ways.items():
            _refused(step, way, NOT_APPROVED, call)
        pin = scene.number("v2")
        _refused(step, "pin", UNKNOWN_VERSION, lambda: operations.predict_pinned(scene, pin))
        weights = operations.weights(scene)
        step.require(weights == {"1": 10_000}, f"afterwards the weights are {weights}")


def go_live(scene: Scene) -> None:
    with scene.ledger.step("replay March flights", expected="every answer 200, by v1") as step:
        scene.replay.start()
        time.sleep(SETTLE_S)
        answers = list(scene.replay.answers)
        step.require(not sightings.failures(answers), f"{sightings.failures(answers)}")
        step.require(set(sightings.by_version(answers)) == {semantic("v1")}, _versions(answers))
        step.see(f"{len(answers)} answers in {SETTLE_S:.0f} s")


def ramp_v2(scene: Scene) -> None:
    expected = "5, 20, 50, 100 %: nobody leaves the candidate, no answer is lost"
    with scene.ledger.step("promote v2 and ramp it", expected=expected) as step:
        operations.promote(scene, "v2")
        operations.deploy(scene, "v2", traffic=0)
        first = len(scene.replay.answers)
        rollout = operations.start_rollout(scene, "v2", steps=(5, 20, 50, 100))
        finished = operations.watch_rollout(scene, rollout, timeout_s=RAMP_S)
        step.require(finished["state"] == "completed", f"{finished['state']}: {_why(finished)}")
        time.sleep(SETTLE_S)
        answers = scene.replay.answers[first:]
        moved = sightings.moved_off(answers, candidate=semantic("v2"))
        step.require(not moved, f"{len(moved)} units left the candidate: {sorted(moved)[:3]}")
        step.require(not sightings.failures(answers), f"{sightings.failures(answers)}")
        last = answers[-int(scene.pace.rate) :]
        step.require(set(sightings.by_version(last)) == {semantic("v2")}, _versions(last))
        units = sightings.units_on(answers, version=semantic("v2"))
        step.see(f"{finished['state']}; {len(units)} users on v2, none moved off")


def explain_answers(scene: Scene) -> None:
    expected = "asked which version a user had then, the control plane says what the client saw"
    with scene.ledger.step("ask about 20 answers", expected=expected) as step:
        answers = sightings.answered(scene.replay.answers)
        asked = answers[:: max(len(answers) // EXPLAINED, 1)][:EXPLAINED]
        agreed = 0
        for answer in asked:
            generation, version = operations.assignment(scene, answer)
            if generation == answer.generation:  # else it came within the switch
                step.require(version == answer.model_version, f"{version}, not {answer}")
                agreed += 1
        step.require(agreed >= EXPLAINED // 2, f"only {agreed} of the same generation")
        step.see(f"{agreed} agree, {len(asked) - agreed} came while the table switched")


def explain_a_prediction(scene: Scene) -> None:
    expected = "what each feature contributed adds up to the prediction"
    with scene.ledger.step("explain one prediction of v2", expected=expected) as step:
        found = operations.explain(scene)
        contributions = found["contributions"]
        gap = found["base_value"] + sum(contributions.values()) - found["prediction"]
        step.require(abs(gap) < 1e-4, f"they miss it by {gap}")
        step.require(found["model_version"] == semantic("v2"), str(found["model_version"]))
        most = ", ".join(f"{name} {value:+.3f}" for name, value in list(contributions.items())[:3])
        step.see(f"{found['output']} {found['prediction']:.3f}: {found['base_value']:.3f}, {most}")


def withdraw_v4(scene: Scene) -> None:
    expected = "rolled back on errors; the users are answered by v2 again"
    with scene.ledger.step("promote v4 and ramp it", expected=expected) as step:
        operations.promote(scene, "v4")
        operations.deploy(scene, "v4", traffic=0)
        first = len(scene.replay.answers)
        rollout = operations.start_rollout(scene, "v4", steps=(20, 100))
        finished = operations.watch_rollout(scene, rollout, timeout_s=RAMP_S)
        step.require(finished["state"] == "rolled_back", str(finished["state"]))
        time.sleep(SETTLE_S)
        answers = scene.replay.answers[first:]
        bad = [a.at for a in answers if a.status != 200]
        step.require(bool(bad), "v4 never failed")
        _require_only(step, scene, "v2")
        step.see(f"rolled back: {_why(finished)}; {len(bad)} bad answers in {_span(bad)}")


def withdraw_v3(scene: Scene) -> None:
    expected = "rolled back on sampled accuracy, though it answers quickly and without errors"
    with scene.ledger.step("promote v3 and ramp it", expected=expected) as step:
        operations.promote(scene, "v3")
        operations.deploy(scene, "v3", traffic=0)
        first = len(scene.replay.answers)
        rollout = operations.start_rollout(scene, "v3", steps=(20, 50, 100))
        finished = operations.watch_rollout(scene, rollout, timeout_s=RAMP_S)
        step.require(finished["state"] == "rolled_back", str(finished["state"]))
        time.sleep(SETTLE_S)
        answers = scene.replay.answers[first:]
        step.require(not sightings.failures(answers), f"{sightings.failures(answers)}")
        bad, n_bad = sightings.accuracy(answers, version=semantic("v3"))
        good, n_good = sightings.accuracy(answers, version=semantic("v2"))
        step.require(bad < 0.95 * good, f"v3 {bad:.3f} beside v2 {good:.3f}")
        _require_only(step, scene, "v2")
        step.see(f"rolled back: {_why(finished)}; the client saw v3 right in {bad:.3f} of {n_bad},")
        step.see(f"v2 in {good:.3f} of {n_good}")


def refuse_the_archived(scene: Scene) -> None:
    expected = "the phase of an archived version is not restored"
    with scene.ledger.step("archive v1 and restore its phase", expected=expected) as step:
        stage = operations.retire(scene, "v1")
        _refused(step, "restore", NOT_APPROVED, lambda: operations.restore_phase_of(scene, "v1"))
        step.see(f"v1 is {stage}")


def close_the_books(scene: Scene) -> None:
    expected = "the control plane counted what the client saw, to the last request and label"
    with scene.ledger.step("stop the traffic, compare the counts", expected=expected) as step:
        scene.replay.stop()
        step.require(scene.replay.outcomes_refused == 0, "outcomes were refused")
        saw = sightings.books(scene.replay.answers)
        watch(
            lambda: operations.books(scene),
            until=lambda found: found == saw,
            describe=lambda found: _compared(found, saw),
            tell=scene.ledger.tell,
            timeout_s=BOOKS_S,
        )
        step.see(_told(saw))


def _refused(step: Step, way: str, expected: tuple[int, str], call: Callable[[], Any]) -> None:
    """The call must end in this status and kind of problem."""
    status, kind = expected
    try:
        call()
    except Refused as refusal:
        fits = refusal.status == status and refusal.kind.endswith(kind)
        step.require(fits, f"{way}: {refusal}")
        step.see(f"{way} {refusal.status}")
        return
    raise Deviation(f"{way} was not refused")


def _require_only(step: Step, scene: Scene, name: str) -> None:
    last = scene.replay.answers[-int(scene.pace.rate) :]
    step.require(set(sightings.by_version(last)) == {semantic(name)}, _versions(last))
    step.require(not sightings.failures(last), f"{sightings.failures(last)}")


def _versions(answers: list[Any]) -> str:
    return f"answers by version: {dict(sightings.by_version(answers))}"


def _why(rollout: dict[str, Any]) -> str:
    return str(rollout["state_reason"])


def _told(found: sightings.Books) -> str:
    versions = ", ".join(f"{version} {count}" for version, count in found.recorded.items())
    return f"{versions}, failed {found.failed}, labels {sum(found.labelled.values())}"


def _compared(found: sightings.Books, saw: sightings.Books) -> str:
    if found == saw:
        return "equal"
    if _told(found) != _told(saw):
        return f"counted {_told(found)}; the client saw {_told(saw)}"
    return f"answered {found.answered}; the client saw {saw.answered}"


def _span(times: list[float]) -> str:
    return f"{max(times) - min(times):.1f} s"
