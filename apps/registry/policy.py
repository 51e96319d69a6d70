"""What a promotion needs: checks, signatures, and who may give them. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

CHECK_PATTERN = r"^[a-z][a-z0-9_]*(:[a-z0-9][a-z0-9-]*)?$"
MOST_APPROVALS = 10
LONGEST_LIFETIME_H = 24.0 * 90


class Verdict(StrEnum):
    """What a check found. Inconclusive and error are no pass, and no fail either."""

    PASS = "pass"  # noqa: S105  # a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A part of a policy: a field that nobody knows is a fault, not a typo that passes."""


class CheckRule(_Part, frozen=True, kw_only=True):
    """How a policy takes a check.

    One that is not required is only shown. `waivable`: an approver may let it go, with a reason,
    when it could not tell; never when it failed. `settings` are the check's own.
    """

    required: bool = True
    waivable: bool = False
    settings: dict[str, Any] = {}


class ApproverGroup(_Part, frozen=True, kw_only=True):
    """Who may sign: roles in the model's team, approvers of other teams, persons by key.

    At least `needed` of the signatures come from the group; whoever is in several counts for each.
    """

    name: str
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    needed: int = 1


class Barred(_Part, frozen=True, kw_only=True):
    """Who may not sign beside the requester and the version's author, who never may."""

    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    owner: bool = False


# The examination of the artifact as a whole: its single checks go by their own names, too.
EXAMINATION = "examination"


def _examined() -> dict[str, CheckRule]:
    return {EXAMINATION: CheckRule()}


class Policy(_Part, frozen=True, kw_only=True):
    """What promotion into one stage needs. The defaults are those of every team that said nothing.

    Without `groups` every approver of the model's team may sign. A request lives `lifetime_h`
    hours. `heeds_freezes`: nothing is approved during a freeze window, unless glass is broken.
    "examination" among the checks stands for every check of a validation that is not named itself.
    """

    checks: dict[str, CheckRule] = msgspec.field(default_factory=_examined)
    approvals: int = 1
    groups: tuple[ApproverGroup, ...] = ()
    barred: Barred = Barred()
    lifetime_h: float = 24.0 * 7
    heeds_freezes: bool = True

    def rule(self, name: str, *, examined: bool = False) -> CheckRule | None:
        """The rule for a check; None where the policy does not speak of it."""
        found = self.checks.get(name)
        return found or (self.checks.get(EXAMINATION) if examined else None)


DAY_S = 86_400
SHADOW_S = {"critical": 7 * DAY_S, "standard": DAY_S}
SHADOW_ROWS = 1_000


def default_policy(*, tier: str, top: bool) -> Policy:
    """What holds where nobody wrote a policy.

    The examination has to pass; figures beside the champion are shown. Into the top stage a
    shadow comparison is shown too, and a critical model needs it, and two signatures.
    """
    shown = CheckRule(required=False)
    checks = {**_examined(), "regression": shown, "dependencies": shown}
    if not top:
        return Policy(checks=checks)
    critical = tier == "critical"
    least = {"minimum_rows": SHADOW_ROWS, "minimum_s": SHADOW_S.get(tier, DAY_S)}
    checks["shadow"] = CheckRule(required=critical, waivable=critical, settings=least)
    return Policy(checks=checks, approvals=2 if critical else 1)


class BadPolicy(ValueError):
    """A policy that nobody could meet or read; `path` is where the fault is."""

    def __init__(self, detail: str, path: str) -> None:
        super().__init__(detail)
        self.path = path


class Refusal(StrEnum):
    """Why somebody may not sign, in words."""

    NOT_HUMAN = "only a person decides about a promotion"
    REQUESTER = "whoever asked for a promotion cannot decide it: four eyes mean two people"
    AUTHOR = "the version's author cannot decide its promotion: four eyes mean two people"
    OWNER = "the policy bars the model's owner from deciding"
    BARRED = "the policy bars you from deciding"
    BREAKER = "whoever broke the glass cannot sign as well: it takes a second person"
    OUTSIDER = "the policy lets other people sign"


@dataclass(frozen=True)
class Signer:
    """Whoever wants to decide: "user", "service" or "system", and the human behind it.

    `roles` are those in the model's team, `teams` those where they may approve.
    """

    kind: str
    human_key: str
    roles: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Parties:
    """Humans whose part in a request keeps them from signing it; keys, or empty."""

    requester: str
    author: str
    owner: str = ""
    breaker: str = ""


@dataclass(frozen=True)
class Signed:
    """One signature: whose, and the groups that they were in then."""

    human_key: str
    groups: tuple[str, ...] = ()


def read_policy(given: Mapping[str, Any]) -> Policy:
    """A policy from JSON. Raises BadPolicy."""
    try:
        policy = msgspec.convert(given, Policy)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$")
        raise BadPolicy(detail, where.strip("`.") or "rules") from error
    _require_sound(policy)
    return policy


def _require_sound(policy: Policy) -> None:
    if not 1 <= policy.approvals <= MOST_APPROVALS:
        raise BadPolicy(f"takes 1 to {MOST_APPROVALS}", "approvals")
    if not 0 < policy.lifetime_h <= LONGEST_LIFETIME_H:
        raise BadPolicy(f"takes up to {LONGEST_LIFETIME_H:g} hours", "lifetime_h")
    for name in policy.checks:
        if not re.fullmatch(CHECK_PATTERN, name):
            raise BadPolicy(f"{name!r} cannot be the name of a check", "checks")
    for index, group in enumerate(policy.groups):
        _require_group(index, group, policy)


def _require_group(index: int, group: ApproverGroup, policy: Policy) -> None:
    path = f"groups[{index}]"
    if not group.name or group.name in {one.name for one in policy.groups[:index]}:
        raise BadPolicy("each group needs a name of its own", f"{path}.name")
    if not (group.roles or group.teams or group.people):
        raise BadPolicy("nobody would be in it: name roles, teams or people", path)
    if not 0 <= group.needed <= policy.approvals:
        raise BadPolicy("takes from none to all of the approvals", f"{path}.needed")
    if any(not key.startswith("user:") for key in group.people):
        raise BadPolicy('people go by key: "user:ada"', f"{path}.people")


def groups_of(policy: Policy, signer: Signer) -> tuple[str, ...]:
    """Names of the policy's groups that a signer is in."""
    return tuple(
        group.name
        for group in policy.groups
        if signer.human_key in group.people
        or signer.roles.intersection(group.roles)
        or signer.teams.intersection(group.teams)
    )


def refusal(signer: Signer, parties: Parties, policy: Policy) -> Refusal | None:
    """Why `signer` may not decide, or None; whether they hold the right at all is asked elsewhere.

    Four eyes come first: no policy can switch them off.
    """
    me, barred = signer.human_key, policy.barred
    found: Sequence[tuple[bool, Refusal]] = (
        (signer.kind != "user", Refusal.NOT_HUMAN),
        (me == parties.requester, Refusal.REQUESTER),
        (me == parties.author, Refusal.AUTHOR),
        (me == parties.breaker, Refusal.BREAKER),
        (barred.owner and me == parties.owner, Refusal.OWNER),
        (me in barred.people or bool(signer.roles.intersection(barred.roles)), Refusal.BARRED),
        (bool(policy.groups) and not groups_of(policy, signer), Refusal.OUTSIDER),
    )
    return next((refused for applies, refused in found if applies), None)


def missing_signatures(policy: Policy, signed: Iterable[Signed]) -> list[str]:
    """What the signatures lack, in words; empty when they are enough."""
    known = {one.human_key: one for one in signed}.values()
    missing = []
    if len(known) < policy.approvals:
        lacking = policy.approvals - len(known)
        missing.append(f"{lacking} more {'approval' if lacking == 1 else 'approvals'}")
    for group in policy.groups:
        lacking = group.needed - sum(group.name in one.groups for one in known)
        if lacking > 0:
            missing.append(f"{lacking} from {group.name}")
    return missing


@dataclass(frozen=True)
class Finding:
    """What is known of a check when somebody wants to sign; `verdict` None: still running."""

    name: str
    title: str
    verdict: Verdict | None
    required: bool
    waived: bool = False

    @property
    def holds(self) -> bool:
        """Whether this keeps anybody from signing."""
        if self.verdict is None:
            return True  # the evidence is not complete
        return self.required and not self.waived and self.verdict is not Verdict.PASS


def missing_evidence(findings: Iterable[Finding]) -> list[str]:
    """What the checks lack, in words; empty when they let the request through."""
    words = {
        None: "is still running",
        Verdict.FAIL: "failed",
        Verdict.INCONCLUSIVE: "could not tell",
        Verdict.ERROR: "broke off",
    }
    return [f"{one.title} {words[one.verdict]}" for one in findings if one.holds]


def waivable(rule: CheckRule, verdict: Verdict | None) -> bool:
    """Whether a check may be let go: the policy says so, and it could not tell."""
    return rule.waivable and verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
