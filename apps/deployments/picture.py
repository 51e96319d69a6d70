"""A rollout as its page shows it, in words. Pure: rows in, sentences out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.deployments.rollout import FINISHED, Snapshot, State, Step, Trigger, after

BADGES: Mapping[State, tuple[str, str]] = {
    State.PENDING: ("starting", "running"),
    State.PROGRESSING: ("ramping", "running"),
    State.PAUSED: ("paused", "attention"),
    State.WAITING: ("needs a decision", "attention"),
    State.COMPLETED: ("completed", "ok"),
    State.ROLLED_BACK: ("rolled back", "failing"),
    State.ABORTED: ("aborted", "failing"),
}


@dataclass(frozen=True)
class StepPicture:
    """One step of the track: `state` is "done", "current", "failed" or ""."""

    weight: int
    state: str
    words: str


@dataclass(frozen=True)
class Action:
    """A button and the dialog that asks for its reason."""

    trigger: Trigger
    label: str
    title: str
    body: str
    tone: str = ""

    @property
    def slug(self) -> str:
        """The action's name in addresses: "rollback"."""
        return self.trigger.replace("_", "")

    @property
    def id(self) -> str:
        """The dialog's element id."""
        return f"dialog-{self.slug}"


ACTIONS = (
    Action(
        Trigger.PAUSE,
        "Pause…",
        "Pause this rollout",
        "The split stays as it is; guardrails go on watching and can still roll back.",
    ),
    Action(Trigger.RESUME, "Resume…", "Resume this rollout", "The current step goes on holding."),
    Action(
        Trigger.PROMOTE,
        "Promote now…",
        "Go to the next step now",
        "Skips what is left of this step's hold. Guardrails go on watching.",
    ),
    Action(
        Trigger.ROLL_BACK,
        "Roll back now…",
        "Roll back now",
        "Everyone returns to the version they had before, in one step.",
        "danger",
    ),
)


def actions(state: State) -> list[Action]:
    """The actions that the state allows."""
    return [action for action in ACTIONS if after(state, action.trigger) is not None]


def badge(state: State, left: timedelta | None) -> tuple[str, str]:
    """The one status badge: its words and its tone."""
    text, tone = BADGES[state]
    if state is State.PROGRESSING and left is not None and left > timedelta():
        return f"{text} · {duration(left)} left", tone
    return text, tone


def steps(snapshot: Snapshot, now: datetime, requests: int) -> list[StepPicture]:
    """The step track; `requests` are those of the current step."""
    pictures = []
    for number, step in enumerate(snapshot.steps):
        hold = timedelta(seconds=step.hold_s)
        if number < snapshot.step_index or snapshot.state is State.COMPLETED:
            pictures.append(StepPicture(step.weight, "done", "passed"))
        elif number == snapshot.step_index:
            pictures.append(_current(snapshot, step, now, requests))
        else:
            pictures.append(StepPicture(step.weight, "", duration(hold)))
    return pictures


def _current(snapshot: Snapshot, step: Step, now: datetime, requests: int) -> StepPicture:
    if snapshot.state in FINISHED:
        return StepPicture(step.weight, "failed", snapshot.state.replace("_", " "))
    hold = timedelta(seconds=step.hold_s)
    held = min(max(now - snapshot.step_started_at, timedelta()), hold)
    words = f"{duration(held)} of {duration(hold)} · {requests:,} requests".replace(",", "\u202f")
    return StepPicture(step.weight, "current", words)


def remaining(snapshot: Snapshot, now: datetime) -> timedelta | None:
    """Time until the last step's hold is over, or None when the rollout is not moving."""
    if snapshot.state not in (State.PENDING, State.PROGRESSING):
        return None
    index = max(snapshot.step_index, 0)
    later = sum(step.hold_s for step in snapshot.steps[index + 1 :])
    ends = snapshot.step_started_at + timedelta(seconds=snapshot.steps[index].hold_s)
    return max(ends - now, timedelta()) + timedelta(seconds=later)


def sentence(snapshot: Snapshot, now: datetime, outcomes: Sequence[str], reason: str) -> str:
    """Where the rollout is, in one sentence; `outcomes` are the latest verdicts."""
    if snapshot.state in FINISHED:
        return _ended(snapshot.state, reason)
    if snapshot.state is State.PENDING:
        return "Waiting for the candidate to be loaded and ready."
    where = f"Step {snapshot.step_index + 1} of {len(snapshot.steps)}, {share(snapshot)} of users."
    if snapshot.state is State.PAUSED:
        return f"{where} Paused: {reason}" if reason else f"{where} Paused."
    if snapshot.state is State.WAITING:
        return f"{where} The evidence did not come in time; a person has to decide."
    return f"{where} {_holding(snapshot, now)} {_health(outcomes)}"


def _ended(state: State, reason: str) -> str:
    words = {
        State.COMPLETED: "Everyone is on the candidate; the version before it is kept.",
        State.ROLLED_BACK: "Everyone is back on the version they had before.",
        State.ABORTED: "It was given up; everyone has the version they had before.",
    }[state]
    return f"{words} {reason}" if reason and state is not State.COMPLETED else words


def _holding(snapshot: Snapshot, now: datetime) -> str:
    ends = snapshot.step_started_at + timedelta(seconds=snapshot.step.hold_s)
    return f"Holding {duration(ends - now)} more." if ends > now else "The hold is over."


def _health(outcomes: Sequence[str]) -> str:
    if "fail" in outcomes:
        return "A guardrail fails."
    if not outcomes or set(outcomes) == {"inconclusive"}:
        return "There is not enough traffic to tell yet."
    if "inconclusive" in outcomes:
        return "Nothing fails; some evidence is still missing."
    return "Every guardrail is within its limit."


def share(snapshot: Snapshot) -> str:
    """The candidate's share now: "20 %"."""
    if snapshot.step_index < 0:
        return "0 %"
    return f"{snapshot.step.weight / 100:g} %"


def duration(span: timedelta) -> str:
    """A length of time in its two largest units: "1 h 20 min", "45 s"."""
    seconds = round(span.total_seconds())
    for unit, size, lower, lower_size in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // lower_size
            return (
                f"{seconds // size} {unit} {rest} {lower}" if rest else f"{seconds // size} {unit}"
            )
    return f"{max(seconds, 0)} s"
