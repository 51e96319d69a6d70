"""Ladders, policies, freezes and several signatures, through the services."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.accounts.errors import PermissionDenied
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.registry import services
from apps.registry.dossier import dossier
from apps.registry.errors import (
    AlreadySigned,
    Conflict,
    ContentChanged,
    EvidenceIncomplete,
    Frozen,
    Invalid,
    NotWaivable,
    RequestClosed,
    SelfApproval,
    StageInUse,
)
from apps.registry.models import (
    Approval,
    CheckRun,
    Comment,
    CommentEdition,
    FreezeWindow,
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    StageLadder,
    StageTransition,
    Tier,
)
from apps.registry.selectors import Allowance, traffic_allowance
from tests.registry.factories import (
    approver,
    asked,
    make_model,
    make_team,
    make_version,
    person,
    scientist,
    service,
    validated_version,
)

pytestmark = pytest.mark.django_db
STAGES = [
    {"key": "dev", "title": "Development", "allowance": "none"},
    {"key": "qa", "title": "Quality", "allowance": "none"},
    {"key": "staging", "title": "Staging", "allowance": "shadow"},
    {"key": "live", "title": "Live", "allowance": "all"},
]


def admin() -> Principal:
    return person("root", Role.ADMIN)


def policy(stage: str = "staging", *, tier: str = "", team: bool = True, **rules: Any) -> None:
    services.set_policy(
        actor=admin(),
        team=make_team() if team else None,
        stage=stage,
        tier=tier,
        rules=rules,
        reason="decided",
    )


def ladder(stages: list[dict[str, str]]) -> StageLadder:
    return services.set_ladder(actor=admin(), team=make_team(), stages=stages, reason="decided")


def frozen(**fields: Any) -> FreezeWindow:
    now = timezone.now()
    window = {
        "type": "span",
        "start": (now - timedelta(hours=1)).isoformat(),
        "end": (now + timedelta(hours=1)).isoformat(),
    }
    given = {"team": make_team(), "title": "Stocktaking", "zone": "Europe/Berlin", **fields}
    return services.add_freeze(actor=admin(), window=window, reason="the books", **given)


def test_ladder__of_a_team__is_climbed_stage_by_stage() -> None:
    ladder(STAGES)
    version = validated_version()
    seen = []
    for stage in ("qa", "staging", "live"):
        request = services.request_promotion(
            actor=scientist(), version=version, stage=stage, reason="up"
        )
        services.approve(actor=approver(), request=request)
        version.refresh_from_db()
        seen.append((version.stage, traffic_allowance(version)))
    none, shadow, everything = Allowance.NONE, Allowance.SHADOW, Allowance.ALL
    assert seen == [("qa", none), ("staging", shadow), ("live", everything)]
    assert ModelVersion.objects.at_the_top().get() == version
    with pytest.raises(StageInUse):
        ladder([*STAGES[:2], {"key": "prod", "title": "Production", "allowance": "all"}])
    assert Event.objects.get(verb="ladder.set").after == STAGES


def test_ladder__that_is_none__names_the_stage_and_takes_an_administrator() -> None:
    with pytest.raises(Invalid) as refused:
        ladder([*STAGES, {"key": "more", "title": "More", "allowance": "all"}])
    assert refused.value.field == "stages[3].allowance"
    with pytest.raises(PermissionDenied):
        services.set_ladder(actor=scientist(), team=make_team(), stages=STAGES, reason="x")
    with pytest.raises(PermissionDenied):
        services.set_ladder(actor=scientist(), team=None, stages=STAGES, reason="x")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rules": {"approvals": 0}}, "rules.approvals"),
        ({"rules": {"checks": {"nonsense": {}}}}, "rules.checks.nonsense"),
        ({"rules": {"checks": {"hook:nobody": {}}}}, "rules.checks.hook:nobody"),
        ({"stage": "dev"}, "stage"),
        ({"tier": "best"}, "tier"),
        ({"reason": " "}, "reason"),
    ],
)
def test_policy__that_is_none__names_the_field(change: dict[str, Any], field: str) -> None:
    given = {"team": make_team(), "stage": "staging", "rules": {}, "reason": "decided", **change}
    with pytest.raises(Invalid) as refused:
        services.set_policy(actor=admin(), **given)
    assert refused.value.field == field
    assert not PromotionPolicy.objects.exists()


def test_policy__of_each_scope__the_narrowest_holds() -> None:
    make_model()
    policy(team=False, approvals=2)
    assert asked_source(1) == "policy:*/staging/*, edition 1"
    policy(team=False, tier="standard", approvals=3)
    assert asked_source(2) == "policy:*/staging/standard, edition 1"
    policy(approvals=4)
    policy(approvals=5)
    policy(tier=Tier.CRITICAL.value, approvals=6)
    assert asked_source(3) == "policy:ops/staging/*, edition 2"
    services.set_policy(
        actor=admin(), team=make_team(), stage="staging", rules=None, reason="no more"
    )
    assert asked_source(4) == "policy:*/staging/standard, edition 1"
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        PromotionPolicy.objects.update(rules={})


def asked_source(number: int) -> str:
    return str(asked(validated_version(number=number)).terms["source"])


def test_approvals__two_of_two_groups__each_human_once() -> None:
    risk = {"name": "risk", "teams": ["risk"], "people": ["user:vera"]}
    policy(approvals=2, groups=[{"name": "ops", "roles": ["approver"]}, risk])
    request = asked()
    services.approve(actor=approver(), request=request, reason="fine")
    with pytest.raises(AlreadySigned):
        services.approve(actor=approver(), request=request)
    with pytest.raises(SelfApproval, match="other people"):
        services.approve(actor=person("root", Role.ADMIN), request=request)
    assert (request.state, ModelVersion.objects.get().stage) == ("requested", "dev")
    assert dossier(request, approver(), now=timezone.now()).missing == [
        "1 more approval",
        "1 from risk",
    ]
    services.approve(actor=person("rita", Role.APPROVER, team="risk"), request=request)
    assert ModelVersion.objects.get().stage == "staging"
    assert [one.human for one in Approval.objects.all()] == ["user:grace", "user:rita"]
    assert Event.objects.filter(verb="promotion.signed").count() == 2


def test_approval__row__cannot_be_changed_or_removed() -> None:
    services.approve(actor=approver(), request=asked())
    rows, requests = Approval.objects.all(), PromotionRequest.objects.all()
    for change in (partial(rows.update, human="user:eve"), rows.delete):
        with pytest.raises(DatabaseError, match="kept as they were"), transaction.atomic():
            change()
    for field in ("evidence", "terms"):
        with pytest.raises(DatabaseError, match="cannot be changed"), transaction.atomic():
            requests.update(**{field: {}})


def artifact(version: ModelVersion) -> None:
    version.artifact_digest = "b" * 64


def schema(version: ModelVersion) -> None:
    version.input_schema = {
        **version.input_schema,
        "features": version.input_schema["features"][:2],
    }


def preprocessing(version: ModelVersion) -> None:
    step = {"step": "standardise", "inputs": ["wind"], "mean": [1.0], "scale": [2.0]}
    version.input_schema = {**version.input_schema, "preprocessing": [step]}


def labels(version: ModelVersion) -> None:
    version.label_map = {"0": "delayed", "1": "on time"}


def threshold(version: ModelVersion) -> None:
    version.decision_threshold = 0.9


def evidence(version: ModelVersion) -> None:
    version.approved_evidence = "c" * 64


def terms(version: ModelVersion) -> None:
    version.approved_terms = "c" * 64


@pytest.mark.parametrize(
    "change", [artifact, schema, preprocessing, labels, threshold, evidence, terms]
)
def test_approval__any_part_of_what_was_signed_changes__no_traffic(change: Any) -> None:
    services.approve(actor=approver(), request=asked())
    version = ModelVersion.objects.get()
    assert traffic_allowance(version) is Allowance.SHADOW
    change(version)
    version.save()
    assert traffic_allowance(ModelVersion.objects.get()) is Allowance.NONE


def other_policy(request: PromotionRequest) -> None:
    policy(approvals=1, lifetime_h=24)


def other_evidence(request: PromotionRequest) -> None:
    PromotionRequest.objects.update(evidence={"checks": []})


@pytest.mark.parametrize("change", [other_policy, other_evidence])
def test_request__terms_or_evidence_change_while_it_waits__void(change: Any) -> None:
    request = asked()
    change(request)
    with pytest.raises(ContentChanged):
        services.approve(actor=approver(), request=PromotionRequest.objects.get())
    assert PromotionRequest.objects.get().state == "void"


def test_approval__of_before_evidence_was_signed__still_holds() -> None:
    assert traffic_allowance(make_version(stage="production")) is Allowance.ALL


def test_freeze__while_it_holds__nothing_is_approved_but_by_two_and_loudly() -> None:
    window, request = frozen(), asked()
    with pytest.raises(Frozen, match="Stocktaking"):
        services.approve(actor=approver(), request=request)
    with pytest.raises(Invalid):
        services.break_glass(actor=approver(), request=request, reason=" ")
    with pytest.raises(SelfApproval):
        services.break_glass(actor=service("ci", "vera"), request=request, reason="hurry")
    services.break_glass(actor=approver("vera"), request=request, reason="fraud goes through")
    with pytest.raises(Conflict, match="broken already"):
        services.break_glass(actor=approver("rita"), request=request, reason="me too")
    with pytest.raises(SelfApproval, match="second person"):
        services.approve(actor=approver("vera"), request=request)
    services.approve(actor=approver(), request=request)
    version = ModelVersion.objects.get()
    assert version.broke_glass_at is not None
    assert StageTransition.objects.get().broke_glass
    said = Event.objects.get(verb="promotion.glass_broken")
    assert (said.actor_key, said.after["freeze"]) == ("user:vera", str(window))  # type: ignore[index]  # JSON


def test_freeze__of_another_stage_or_cancelled__does_not_hold() -> None:
    frozen(stage="production")
    frozen(tier="critical")
    cancelled = frozen()
    services.cancel_freeze(actor=admin(), freeze=cancelled, reason="counted")
    with pytest.raises(Conflict):
        services.cancel_freeze(actor=admin(), freeze=cancelled, reason="counted")
    request = asked()
    with pytest.raises(Conflict, match="no glass"):
        services.break_glass(actor=approver(), request=request, reason="hurry")
    services.approve(actor=approver(), request=request)
    assert request.state == "approved"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"zone": "Mars"}, "zone"), ({"stage": "moon"}, "stage"), ({"title": ""}, "title")],
)
def test_freeze__that_is_none__names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        frozen(**fields)
    assert refused.value.field == field


REGRESSION = {"regression": {"waivable": True}}


def test_check__that_cannot_tell__holds_until_it_is_waived() -> None:
    make_version(stage="production", metrics={})
    policy(checks=REGRESSION)
    request = asked()
    with pytest.raises(EvidenceIncomplete, match="could not tell"):
        services.approve(actor=approver(), request=request)
    with pytest.raises(SelfApproval):
        services.waive_check(actor=scientist(), request=request, name="regression", reason="x")
    signed = request.signed_digest()
    services.waive_check(actor=approver(), request=request, name="regression", reason="first one")
    assert request.signed_digest() != signed
    services.approve(actor=approver(), request=request)
    check = request.evidence["checks"][-1]
    assert (check["verdict"], check["waived_by"]) == ("inconclusive", "user:grace")


def test_check__that_failed_or_may_not_go__is_not_waived() -> None:
    policy(checks={"floor": {"waivable": True, "settings": {"minimum": {"accuracy": 0.9}}}})
    request = asked()
    with pytest.raises(NotWaivable, match="only what cannot tell"):
        services.waive_check(actor=approver(), request=request, name="floor", reason="please")
    with pytest.raises(DomainError):
        services.waive_check(actor=approver(), request=request, name="nothing", reason="please")


def test_checks__made_again__void_the_signatures_before() -> None:
    champion = make_version(stage="production", metrics={"accuracy": 0.8, "accuracy_n": 90_000})
    policy(approvals=2, checks={"regression": {"required": False}})
    request = asked(validated_version(metrics={"accuracy": 0.8, "accuracy_n": 90_000}))
    services.approve(actor=approver(), request=request)
    ModelVersion.objects.filter(pk=champion.pk).update(metrics={"accuracy": 0.9, "accuracy_n": 90})
    services.rerun_checks(actor=scientist(), request=request, names=["regression"])
    assert CheckRun.objects.get(name="regression").verdict == "fail"
    assert Approval.objects.get().voided_at is not None
    services.approve(actor=approver(), request=request)
    services.approve(actor=approver("vera"), request=request)
    assert request.state == "approved"
    with pytest.raises(RequestClosed):
        services.rerun_checks(actor=scientist(), request=request)


@pytest.mark.django_db(transaction=True)
def test_approvals__two_at_once__both_count_and_one_completes() -> None:
    policy(approvals=2)
    request = asked()
    people = [approver(f"approver-{number}") for number in range(4)]
    start = threading.Barrier(len(people))

    def sign(actor: Principal) -> str:
        own = PromotionRequest.objects.select_related("version__model__team").get(pk=request.pk)
        start.wait(timeout=10)
        try:
            services.approve(actor=actor, request=own)
        except RequestClosed:
            return "closed"
        finally:
            connection.close()
        return "signed"

    with ThreadPoolExecutor(len(people)) as pool:
        results = sorted(pool.map(sign, people))
    assert results == ["closed", "closed", "signed", "signed"]
    assert Approval.objects.count() == 2
    assert StageTransition.objects.count() == 1
    assert Event.objects.filter(verb="promotion.approved").count() == 1


def test_comments__edited__keep_what_they_were() -> None:
    request = asked()
    made = services.comment(actor=approver(), request=request, body="Why?")
    with pytest.raises(PermissionDenied):
        services.edit_comment(actor=scientist(), comment=made, body="x")
    services.edit_comment(actor=approver(), comment=made, body="Why now?")
    assert (Comment.objects.get().body, CommentEdition.objects.get().body) == ("Why now?", "Why?")
    for rows in (Comment.objects.all(), CommentEdition.objects.all()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows._raw_delete(rows.db)
    with pytest.raises(Invalid):
        services.comment(actor=approver(), request=request, body=" ")
