"""Promotion requests and stages, through the services."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.accounts.errors import PermissionDenied
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.registry import services
from apps.registry.errors import (
    Conflict,
    ContentChanged,
    Invalid,
    NotValidated,
    RequestClosed,
    SelfApproval,
    StageMoveRefused,
)
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    StageTransition,
    digest_of,
)
from apps.registry.selectors import Allowance, traffic_allowance
from tests.registry.factories import (
    TEAM,
    approver,
    asked,
    make_validation,
    make_version,
    person,
    scientist,
    service,
    validated_version,
)

pytestmark = pytest.mark.django_db


def verbs(key: str) -> list[str]:
    return list(Event.objects.for_object(key).order_by("id").values_list("verb", flat=True))


def test_request__validated_version__freezes_the_evidence() -> None:
    version = validated_version()
    request = asked(version)
    assert request.digest == version.content_digest()
    assert request.evidence["metrics"] == {"accuracy": 0.8}
    (check,) = request.evidence["checks"]
    (examined,) = version.validations.get().checks
    assert {name: check[name] for name in examined} == examined
    assert request.evidence_digest == digest_of(request.evidence)
    assert request.expires_at - timezone.now() > timedelta(days=6, hours=23)
    assert verbs(request.key) == ["promotion.requested"]


def test_request__with_an_incumbent__evidence_tells_the_difference() -> None:
    make_version(stage="production", metrics={"accuracy": 0.7})
    evidence = asked(validated_version()).evidence
    assert evidence["incumbent"] == "flights/1"
    assert {"label": "Accuracy", "before": "0.7", "after": "0.8"} in evidence["differences"]


def never(version: ModelVersion) -> None:
    """No validation at all."""


def failed(version: ModelVersion) -> None:
    make_validation(version)
    make_validation(version, state="failed")


def of_other_content(version: ModelVersion) -> None:
    make_validation(version)
    ModelVersion.objects.filter(pk=version.pk).update(decision_threshold=0.7)


@pytest.mark.parametrize("prepare", [never, failed, of_other_content])
def test_request__not_validated_as_it_is__refused(prepare: Callable[[ModelVersion], None]) -> None:
    version = make_version()
    prepare(version)
    with pytest.raises(NotValidated):
        asked(version)
    assert not PromotionRequest.objects.exists()


@pytest.mark.parametrize(
    ("stage", "target", "error"),
    [
        ("dev", "production", StageMoveRefused),
        ("staging", "staging", StageMoveRefused),
        ("production", "production", StageMoveRefused),
        ("deprecated", "production", StageMoveRefused),
        ("archived", "staging", StageMoveRefused),
        ("dev", "archived", Invalid),
        ("dev", "nonsense", Invalid),
    ],
)
def test_request__stage_out_of_turn__names_the_field(
    stage: str, target: str, error: type[DomainError]
) -> None:
    version = validated_version(stage)
    with pytest.raises(error) as refused:
        services.request_promotion(actor=scientist(), version=version, stage=target)
    assert refused.value.field == "stage"


def test_request__while_one_is_open__refused() -> None:
    request = asked()
    with pytest.raises(Conflict, match="open already"):
        asked(request.version)


def test_request__by_somebody_without_the_role__refused() -> None:
    with pytest.raises(PermissionDenied):
        asked(by=approver())


def test_approve__by_another__moves_the_stage_in_one_go() -> None:
    request = asked()
    services.approve(actor=approver(), request=request, reason="evidence read")
    version = ModelVersion.objects.get()
    assert (version.stage, version.approved_by) == ("staging", "user:grace")
    assert version.approved_digest == version.signed_digest() == request.signed_digest()
    assert version.content_digest() == request.digest
    assert traffic_allowance(version) is Allowance.SHADOW
    transition = StageTransition.objects.get()
    assert (transition.from_stage, transition.to_stage) == ("dev", "staging")
    assert (transition.request, transition.actor_key) == (request, "user:grace")
    signed = ["promotion.requested", "promotion.signed", "promotion.approved"]
    assert verbs(request.key) == signed
    assert verbs(version.key) == ["version.stage_changed"]


def test_approve__to_production__leaves_the_incumbent_alone() -> None:
    old = make_version(stage="production")
    request = asked(validated_version("staging"))
    services.approve(actor=approver(), request=request)
    old.refresh_from_db()
    assert old.stage == "production"
    assert traffic_allowance(ModelVersion.objects.get(number=2)) is Allowance.ALL


def refused_approval(actor: Principal, request: PromotionRequest) -> Event:
    with pytest.raises((SelfApproval, PermissionDenied)) as refused:
        services.approve(actor=actor, request=request)
    assert refused.value.status == 403
    request.refresh_from_db()
    assert request.state == "requested"
    assert ModelVersion.objects.get().stage == "dev"
    return Event.objects.get(verb="promotion.approval_refused")


def test_approve__own_request__refused_and_kept_in_the_log() -> None:
    both = person("ada", Role.SCIENTIST, Role.APPROVER)
    request = asked(by=both)
    event = refused_approval(both, request)
    assert (event.actor_key, event.object_key) == ("user:ada", request.key)
    assert "four eyes" in event.reason


def test_approve__own_version__refused() -> None:
    request = asked(by=person("alan", Role.SCIENTIST))
    event = refused_approval(person("ada", Role.APPROVER), request)
    assert "author" in event.reason


def test_approve__request_of_the_service_one_answers_for__refused() -> None:
    version = validated_version(author="user:alan")
    request = asked(version, by=service("pipeline", "grace"))
    assert request.requester == "user:grace"
    event = refused_approval(approver("grace"), request)
    assert "whoever asked" in event.reason


@pytest.mark.parametrize("role", [Role.CI, Role.APPROVER, Role.ADMIN])
def test_approve__by_a_program_of_any_role__refused(role: Role) -> None:
    robot = replace(service("robot", "grace"), roles={TEAM: frozenset({role})})
    event = refused_approval(robot, asked())
    assert (event.actor_key, event.responsible_key) == ("service:robot", "user:grace")


def test_approve__without_the_role__refused_and_kept_in_the_log() -> None:
    event = refused_approval(person("eve", Role.OPERATOR), asked())
    assert "may not approve" in event.reason


def test_approve__by_an_approver_of_another_team__refused() -> None:
    refused_approval(person("mallory", Role.APPROVER, team="other"), asked())


def test_approve__content_changed_since__request_is_void() -> None:
    request = asked()
    ModelVersion.objects.update(decision_threshold=0.9)
    with pytest.raises(ContentChanged):
        services.approve(actor=approver(), request=request)
    assert PromotionRequest.objects.get().state == "void"
    assert ModelVersion.objects.get().stage == "dev"
    assert verbs(request.key)[-1] == "promotion.voided"


def test_approve__a_later_validation_failed__refused() -> None:
    request = asked()
    make_validation(request.version, state="failed")
    with pytest.raises(NotValidated):
        services.approve(actor=approver(), request=request)
    assert PromotionRequest.objects.get().state == "requested"


def test_approve__stage_moved_meanwhile__refused() -> None:
    request = asked()
    services.archive(actor=person("op", Role.OPERATOR), version=request.version, reason="old")
    with pytest.raises(StageMoveRefused):
        services.approve(actor=approver(), request=request)
    assert PromotionRequest.objects.get().state == "requested"


def test_approve__after_seven_days__expired() -> None:
    request = asked()
    PromotionRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(RequestClosed, match="expired"):
        services.approve(actor=approver(), request=request)
    assert verbs(request.key)[-1] == "promotion.expired"


def test_expire__due_ones_only__makes_room_for_the_next() -> None:
    request = asked()
    assert services.expire_requests(now=timezone.now()) == 0
    assert services.expire_requests(now=timezone.now() + timedelta(days=8)) == 1
    assert asked(request.version).state == "requested"


def approve(request: PromotionRequest) -> None:
    services.approve(actor=approver(), request=request)


def reject(request: PromotionRequest) -> None:
    services.reject(actor=approver(), request=request, reason="not yet")


def withdraw(request: PromotionRequest) -> None:
    services.withdraw(actor=scientist(), request=request, reason="a mistake")


@pytest.mark.parametrize("first", [approve, reject, withdraw])
@pytest.mark.parametrize("second", [approve, reject, withdraw])
def test_decision__after_another__refused(
    first: Callable[[PromotionRequest], None], second: Callable[[PromotionRequest], None]
) -> None:
    request = asked()
    first(request)
    stage = ModelVersion.objects.get().stage
    with pytest.raises(RequestClosed):
        second(request)
    assert ModelVersion.objects.get().stage == stage


def test_reject__with_a_reason__closes_and_leaves_the_stage() -> None:
    request = asked()
    reject(request)
    assert (request.state, request.decision_reason) == ("rejected", "not yet")
    assert ModelVersion.objects.get().stage == "dev"
    assert verbs(request.key) == ["promotion.requested", "promotion.rejected"]


def test_reject__without_a_reason__names_the_field() -> None:
    with pytest.raises(Invalid) as refused:
        services.reject(actor=approver(), request=asked(), reason=" ")
    assert refused.value.field == "reason"


def test_reject__own_request__refused() -> None:
    both = person("ada", Role.SCIENTIST, Role.APPROVER)
    with pytest.raises(SelfApproval):
        services.reject(actor=both, request=asked(by=both), reason="no")


def test_withdraw__somebody_elses__refused_but_for_administrators() -> None:
    request = asked()
    with pytest.raises(PermissionDenied):
        services.withdraw(actor=scientist("alan"), request=request)
    services.withdraw(actor=person("root", Role.ADMIN), request=request)
    assert request.state == "withdrawn"


@pytest.mark.django_db(transaction=True)
def test_approve__by_many_at_once__one_wins() -> None:
    request = asked()
    names = [f"approver-{number}" for number in range(4)]
    deciders = [approver(name) for name in names]
    start = threading.Barrier(len(names))

    def decide(actor: Principal) -> str:
        own = PromotionRequest.objects.select_related("version__model__team").get(pk=request.pk)
        start.wait(timeout=10)
        try:
            services.approve(actor=actor, request=own)
        except RequestClosed:
            return "closed"
        finally:
            connection.close()
        return "won"

    with ThreadPoolExecutor(len(names)) as pool:
        results = sorted(pool.map(decide, deciders))
    assert results == ["closed", "closed", "closed", "won"]
    assert StageTransition.objects.count() == 1
    assert Event.objects.filter(verb="promotion.approved").count() == 1


@pytest.mark.django_db(transaction=True)
def test_approve__refused_in_real_transactions__event_stays() -> None:
    both = person("ada", Role.SCIENTIST, Role.APPROVER)
    request = asked(by=both)
    refused_approval(both, request)
