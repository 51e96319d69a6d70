"""Stages that need no approval, and the history of all of them."""

from functools import partial

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.access import Role
from apps.registry import services
from apps.registry.errors import ContentChanged, StageMoveRefused
from apps.registry.models import ModelVersion, StageTransition, Validation
from apps.registry.selectors import Allowance, production_at, traffic_allowance, version_page
from tests.registry.factories import (
    approver,
    asked,
    make_model,
    make_version,
    person,
    validated_version,
)

pytestmark = pytest.mark.django_db


def test_stages__deprecated_and_back__keeps_its_approval() -> None:
    version, operator = make_version(stage="production"), person("op", Role.OPERATOR)
    services.deprecate(actor=operator, version=version, reason="v2 took over")
    version.refresh_from_db()
    assert traffic_allowance(version) is Allowance.ALL
    services.reinstate(actor=operator, version=version, reason="v2 is bad")
    version.refresh_from_db()
    assert (version.stage, version.approved_by) == ("production", "user:grace")


def test_stages__reinstating_other_content__refused() -> None:
    version = make_version(stage="deprecated")
    ModelVersion.objects.update(decision_threshold=0.9)
    with pytest.raises(ContentChanged):
        services.reinstate(actor=person("op", Role.OPERATOR), version=version, reason="")


def test_stages__archived__gets_no_traffic_and_has_no_approval() -> None:
    version = make_version(stage="deprecated")
    archived = services.archive(actor=person("op", Role.OPERATOR), version=version, reason="old")
    assert traffic_allowance(archived) is Allowance.NONE
    assert archived.approved_by == ""


def test_stages__archiving_production__refused() -> None:
    version = make_version(stage="production")
    with pytest.raises(StageMoveRefused):
        services.archive(actor=person("op", Role.OPERATOR), version=version, reason="")


def test_history__rows__cannot_be_changed_or_removed() -> None:
    services.approve(actor=approver(), request=asked())
    rows = StageTransition.objects.all()
    for change in (partial(rows.update, reason="x"), rows.delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_history__table__cannot_be_emptied() -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("TRUNCATE registry_stagetransition")


def test_history__at_any_time__tells_what_was_in_production() -> None:
    version = validated_version("staging")
    before = timezone.now()
    services.approve(actor=approver(), request=asked(version))
    during = timezone.now()
    services.deprecate(actor=person("op", Role.OPERATOR), version=version, reason="")
    after = timezone.now()
    found = {at: production_at(make_model(), at) for at in (before, during, after)}
    assert (found[before], found[after]) == ([], [])
    (held,) = found[during]
    assert (held.version, held.transition.actor_key) == (version, "user:grace")
    assert held.transition.request is not None
    assert held.transition.request.evidence["checks"]


def test_page__of_a_version__history_and_comparison() -> None:
    old = make_version(stage="production", metrics={"accuracy": 0.7})
    version = validated_version()
    services.approve(actor=approver(), request=asked(version))
    version.refresh_from_db()
    shown = version_page(version)
    assert shown.incumbent == old
    assert [row.to_stage for row in shown.transitions] == ["staging"]
    assert [row.state for row in shown.requests] == ["approved"]
    assert shown.validation == Validation.objects.get()
    assert any(row.label == "Accuracy" and row.changed for row in shown.differences)
    assert shown.traffic is Allowance.SHADOW
