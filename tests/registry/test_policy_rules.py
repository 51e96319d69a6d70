"""What a policy asks for, who may sign, and when nothing is approved: pure, of any make."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.registry.freezes import BadWindow, Span, Weekly, frozen_until, read_window, zone_of
from apps.registry.policy import (
    ApproverGroup,
    BadPolicy,
    Barred,
    CheckRule,
    Finding,
    Parties,
    Policy,
    Refusal,
    Signed,
    Signer,
    Verdict,
    default_policy,
    groups_of,
    missing_evidence,
    missing_signatures,
    read_policy,
    refusal,
    waivable,
)

RISK = ApproverGroup(name="risk", teams=("risk",), people=("user:vera",))
PARTIES = Parties("user:ada", "user:alan", owner="user:olga", breaker="user:bob")
PEOPLE = st.sampled_from([f"user:{name}" for name in ("ada", "alan", "vera", "grace", "bob")])


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ({"approvals": 0}, "approvals"),
        ({"approvals": "two"}, "approvals"),
        ({"colour": "red"}, "rules"),
        ({"checks": {"a": {"need": True}}}, "checks[...]"),
        ({"checks": {"No Name": {}}}, "checks"),
        ({"lifetime_h": 0}, "lifetime_h"),
        ({"groups": [{"name": "risk"}]}, "groups[0]"),
        ({"groups": [{"name": "", "roles": ["approver"]}]}, "groups[0].name"),
        ({"groups": [{"name": "risk", "people": ["vera"]}]}, "groups[0].people"),
        ({"groups": [{"name": "risk", "roles": ["admin"], "needed": 2}]}, "groups[0].needed"),
    ],
)
def test_policy__that_is_none__names_the_fault(rules: dict[str, Any], path: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        read_policy(rules)
    assert refused.value.path == path


@pytest.mark.parametrize("tier", ["critical", "standard"])
@pytest.mark.parametrize("top", [True, False])
def test_policy__built_in__can_be_read_back(tier: str, top: bool) -> None:
    policy = default_policy(tier=tier, top=top)
    assert read_policy(msgspec.to_builtins(policy)) == policy
    assert policy.approvals == (2 if top and tier == "critical" else 1)


@pytest.mark.parametrize(
    ("signer", "expected"),
    [
        (Signer("user", "user:grace"), None),
        (Signer("service", "user:grace"), Refusal.NOT_HUMAN),
        (Signer("system", "system:rollout"), Refusal.NOT_HUMAN),
        (Signer("service", "user:ada"), Refusal.NOT_HUMAN),
        (Signer("user", "user:ada"), Refusal.REQUESTER),
        (Signer("user", "user:alan"), Refusal.AUTHOR),
        (Signer("user", "user:bob"), Refusal.BREAKER),
        (Signer("user", "user:olga"), Refusal.OWNER),
        (Signer("user", "user:mallory"), Refusal.BARRED),
        (Signer("user", "user:eve", roles=frozenset({"operator"})), Refusal.BARRED),
    ],
)
def test_refusal__of_each_signer__four_eyes_first(signer: Signer, expected: Refusal | None) -> None:
    barred = Barred(people=("user:mallory",), roles=("operator",), owner=True)
    assert refusal(signer, PARTIES, Policy(barred=barred)) is expected


def test_refusal__outside_every_group__refused() -> None:
    policy = Policy(groups=(RISK,))
    assert refusal(Signer("user", "user:grace"), PARTIES, policy) is Refusal.OUTSIDER
    member = Signer("user", "user:grace", teams=frozenset({"risk"}))
    assert refusal(member, PARTIES, policy) is None
    assert groups_of(policy, member) == ("risk",)


@given(st.lists(st.builds(Signed, PEOPLE, st.sampled_from([(), ("risk",)]))), st.integers(1, 4))
def test_signatures__of_any_people__each_human_counts_once(
    signed: list[Signed], needed: int
) -> None:
    policy = Policy(approvals=needed, groups=(RISK,))
    people = {one.human_key for one in signed}
    last = {one.human_key: one.groups for one in signed}
    enough = len(people) >= needed and any("risk" in groups for groups in last.values())
    assert (not missing_signatures(policy, signed)) is enough


@given(st.lists(PEOPLE, unique=True))
def test_signatures__one_more__never_asks_for_more(people: list[str]) -> None:
    policy = Policy(approvals=3)
    lacking = [
        len(missing_signatures(policy, [Signed(one) for one in people[:count]]))
        for count in range(len(people) + 1)
    ]
    assert lacking == sorted(lacking, reverse=True)


FINDINGS = st.builds(
    Finding,
    name=st.just("x"),
    title=st.just("X"),
    verdict=st.sampled_from([None, *Verdict]),
    required=st.booleans(),
    waived=st.booleans(),
)


@given(st.lists(FINDINGS, max_size=5))
def test_evidence__of_any_checks__holds_unless_each_required_one_passed(
    findings: list[Finding],
) -> None:
    through = all(
        one.verdict is not None and (not one.required or one.verdict is Verdict.PASS or one.waived)
        for one in findings
    )
    assert (not missing_evidence(findings)) is through


@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_waiver__of_each_verdict__only_what_cannot_tell(verdict: Verdict | None) -> None:
    could_not = verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
    assert waivable(CheckRule(waivable=True), verdict) is could_not
    assert waivable(CheckRule(), verdict) is False


BERLIN = zone_of("Europe/Berlin")
WEEKEND = Weekly(days=(4,), start="18:00", end="06:00")


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (datetime(2026, 11, 20, 16, 59, tzinfo=UTC), None),
        (datetime(2026, 11, 20, 17, 0, tzinfo=UTC), datetime(2026, 11, 21, 5, tzinfo=UTC)),
        (datetime(2026, 11, 21, 4, 59, tzinfo=UTC), datetime(2026, 11, 21, 5, tzinfo=UTC)),
        (datetime(2026, 11, 21, 5, 0, tzinfo=UTC), None),
        (datetime(2026, 7, 3, 16, 0, tzinfo=UTC), datetime(2026, 7, 4, 4, tzinfo=UTC)),
    ],
)
def test_freeze__weekly__follows_the_clock_of_its_zone(at: datetime, until: datetime) -> None:
    assert frozen_until(WEEKEND, BERLIN, at) == until


def test_freeze__span__without_offset__is_of_its_zone() -> None:
    span = Span(start=datetime(2026, 12, 24), end=datetime(2026, 12, 27))  # noqa: DTZ001  # meant
    inside = datetime(2026, 12, 23, 23, 0, tzinfo=UTC)
    assert frozen_until(span, BERLIN, inside) == datetime(2026, 12, 26, 23, tzinfo=UTC)
    assert frozen_until(span, BERLIN, inside - timedelta(seconds=1)) is None


@given(
    st.sets(st.integers(0, 6), min_size=1),
    st.times(),
    st.times(),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  # made aware below
)
def test_freeze__of_any_make__ends_later_and_is_over_then(
    days: set[int], start: Any, end: Any, moment: datetime
) -> None:
    window = Weekly(days=tuple(days), start=f"{start:%H:%M}", end=f"{end:%H:%M}")
    at = moment.replace(tzinfo=UTC)
    until = frozen_until(window, BERLIN, at)
    if until is not None:
        assert at < until <= at + timedelta(hours=25)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"type": "weekly", "days": [7], "start": "08:00", "end": "09:00"}, "window.days"),
        ({"type": "weekly", "days": [1], "start": "8", "end": "09:00"}, "window.start"),
        ({"type": "span", "start": "2026-12-27", "end": "2026-12-24"}, "window.start"),
        (
            {"type": "span", "start": "2026-12-27T00:00:00", "end": "2026-12-24T00:00:00"},
            "window.end",
        ),
        ({"type": "moon"}, "window.type"),
    ],
)
def test_freeze__that_is_none__names_the_fault(given: dict[str, Any], path: str) -> None:
    with pytest.raises(BadWindow) as refused:
        read_window(given)
    assert refused.value.path == path
