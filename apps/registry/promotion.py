"""Stages, promotion requests and what happens to them: the rules, without database or clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

STAGE_PATTERN = r"^[a-z][a-z0-9-]{0,19}$"


class Stage(StrEnum):
    """Stages of the ladder that teams have unless they define another.

    DEV, DEPRECATED and ARCHIVED belong to every ladder. A deprecated version still serves until
    it is archived.
    """

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Move(StrEnum):
    """What changes a stage. PROMOTE needs an approved request; the others do not."""

    PROMOTE = "promote"
    DEPRECATE = "deprecate"
    REINSTATE = "reinstate"
    ARCHIVE = "archive"


class RequestState(StrEnum):
    """Where a promotion request stands; VOID means that what was signed has changed since."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    VOID = "void"


class Trigger(StrEnum):
    """What happens to a promotion request."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    VOID = "void"


class Allowance(StrEnum):
    """Which traffic a version may get."""

    NONE = "none"
    SHADOW = "shadow"
    ALL = "all"


class BadLadder(ValueError):
    """Stages that make no ladder; `path` is where the fault is."""

    def __init__(self, detail: str, path: str = "stages") -> None:
        super().__init__(detail)
        self.path = path


REQUEST_TRANSITIONS: Mapping[tuple[RequestState, Trigger], RequestState] = {
    (RequestState.REQUESTED, Trigger.APPROVE): RequestState.APPROVED,
    (RequestState.REQUESTED, Trigger.REJECT): RequestState.REJECTED,
    (RequestState.REQUESTED, Trigger.WITHDRAW): RequestState.WITHDRAWN,
    (RequestState.REQUESTED, Trigger.EXPIRE): RequestState.EXPIRED,
    (RequestState.REQUESTED, Trigger.VOID): RequestState.VOID,
    (RequestState.APPROVED, Trigger.VOID): RequestState.VOID,
}

# Stages that nobody signs for; whatever stands in any other one was approved.
UNAPPROVED_STAGES = frozenset({Stage.DEV.value, Stage.ARCHIVED.value})
# Stages beside every ladder: no promotion leads there.
OFF_LADDER: Mapping[str, Allowance] = {
    Stage.DEPRECATED.value: Allowance.ALL,
    Stage.ARCHIVED.value: Allowance.NONE,
}
# The alias that follows the stage which may get all traffic, and those that nobody sets by hand.
CHAMPION = "champion"
PROTECTED_ALIASES = frozenset({CHAMPION})
_RANK = {Allowance.NONE: 0, Allowance.SHADOW: 1, Allowance.ALL: 2}


@dataclass(frozen=True)
class Rung:
    """One stage of a ladder, and the traffic that it allows."""

    key: str
    title: str
    allowance: Allowance


@dataclass(frozen=True)
class Ladder:
    """The stages that a team's versions climb, lowest first.

    It begins at dev, which allows nothing; no stage allows less than the one below it, and the
    top alone allows all traffic. Raises BadLadder.
    """

    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        for index, rung in enumerate(self.rungs):
            self._require(index, rung)
        if len(self.rungs) < 2 or self.rungs[0].key != Stage.DEV:
            raise BadLadder("a ladder begins at dev and leads somewhere")
        if self.rungs[-1].allowance is not Allowance.ALL:
            raise BadLadder("the last stage has to allow all traffic", "stages")

    def _require(self, index: int, rung: Rung) -> None:
        path = f"stages[{index}]"
        if not re.fullmatch(STAGE_PATTERN, rung.key) or rung.key in OFF_LADDER:
            raise BadLadder(f"{rung.key!r} cannot be the key of a stage", f"{path}.key")
        if rung.key in {one.key for one in self.rungs[:index]}:
            raise BadLadder(f"{rung.key} is there twice", f"{path}.key")
        if index == 0 and rung.allowance is not Allowance.NONE:
            raise BadLadder("dev allows no traffic", f"{path}.allowance")
        if index and _RANK[rung.allowance] < _RANK[self.rungs[index - 1].allowance]:
            raise BadLadder("allows less than the stage below", f"{path}.allowance")
        if rung.allowance is Allowance.ALL and index < len(self.rungs) - 1:
            raise BadLadder("only the last stage allows all traffic", f"{path}.allowance")

    @cached_property
    def _next(self) -> Mapping[str, str]:
        return {low.key: high.key for low, high in zip(self.rungs, self.rungs[1:], strict=False)}

    @property
    def top(self) -> str:
        """The stage whose versions may get all traffic."""
        return self.rungs[-1].key

    @property
    def targets(self) -> tuple[str, ...]:
        """Stages that a promotion can be asked for, lowest first."""
        return tuple(rung.key for rung in self.rungs[1:])

    def rung(self, stage: str) -> Rung | None:
        """The stage of that key, if it is one of this ladder's."""
        return next((rung for rung in self.rungs if rung.key == stage), None)

    def next_promotion(self, stage: str) -> str | None:
        """The stage that an approval would give a version, or None where there is none."""
        return self._next.get(stage)

    def stage_after(self, stage: str, move: Move) -> str | None:
        """The stage that `move` leads to, or None where it is not allowed.

        A version in a stage that has left the ladder can still be archived.
        """
        if move is Move.PROMOTE:
            return self.next_promotion(stage)
        if move is Move.DEPRECATE:
            return Stage.DEPRECATED.value if stage == self.top else None
        if move is Move.REINSTATE:
            return self.top if stage == Stage.DEPRECATED else None
        return None if stage in (self.top, Stage.ARCHIVED) else Stage.ARCHIVED.value

    def allowance(self, stage: str) -> Allowance:
        """Which traffic a stage allows; none where the ladder does not know it."""
        if stage in OFF_LADDER:
            return OFF_LADDER[stage]
        found = self.rung(stage)
        return found.allowance if found else Allowance.NONE


DEFAULT_LADDER = Ladder(
    (
        Rung(Stage.DEV.value, "Development", Allowance.NONE),
        Rung(Stage.STAGING.value, "Staging", Allowance.SHADOW),
        Rung(Stage.PRODUCTION.value, "Production", Allowance.ALL),
    )
)


def is_protected(alias: str) -> bool:
    """Whether an alias is set by approvals only, however it is spelt."""
    return alias.lower() in PROTECTED_ALIASES


def state_after(state: RequestState, trigger: Trigger) -> RequestState | None:
    """The state that `trigger` leads to, or None where it is not allowed."""
    return REQUEST_TRANSITIONS.get((state, trigger))


def allowance(stage_allows: str, *, approved_digest: str, signed_digest: str) -> Allowance:
    """What the stage allows; none when what was approved is not what is there."""
    if not approved_digest or approved_digest != signed_digest:
        return Allowance.NONE
    return Allowance(stage_allows)
