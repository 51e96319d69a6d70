"""What the database itself refuses, whatever the code does."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.models import Membership, ServiceAccount, Token
from tests.accounts import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", [Role.CI, Role.CLIENT])
def test_membership__role_of_programs__refused(role: Role) -> None:
    membership = Membership(user=factories.user(), team=factories.team(), role=role.value)
    with pytest.raises(IntegrityError, match="membership_human_role"):
        membership.save()


def test_membership__same_role_twice__refused() -> None:
    user = factories.user(Role.ANALYST)
    membership = Membership(user=user, team=factories.team(), role=Role.ANALYST.value)
    with pytest.raises(IntegrityError, match="membership_once"):
        membership.save()


@pytest.mark.parametrize("role", [Role.APPROVER, Role.ADMIN])
def test_service_account__role_that_signs__refused(role: Role) -> None:
    account = factories.service_account()
    with pytest.raises(IntegrityError, match="service_account_role"):
        ServiceAccount.objects.filter(pk=account.pk).update(role=role.value)


def test_service_account__negative_rate__refused() -> None:
    account = factories.service_account()
    with pytest.raises(IntegrityError, match="service_account_rate"):
        ServiceAccount.objects.filter(pk=account.pk).update(requests_per_second=-1)


@pytest.mark.parametrize("owners", [0, 2])
def test_token__without_exactly_one_owner__refused(owners: int) -> None:
    token = Token(
        name="x",
        prefix="swy_x",
        digest="0" * 64,
        expires_at=timezone.now() + timedelta(days=1),
        user=factories.user() if owners else None,
        service_account=factories.service_account() if owners else None,
    )
    with pytest.raises(IntegrityError, match="token_one_owner"):
        token.save()


@pytest.mark.parametrize("values", [{"burst": 5}, {"budget": -1}, {"tier": "Not A Tier"}])
def test_service_account__limits_that_make_no_sense__refused_by_the_database(
    values: dict[str, Any],
) -> None:
    account = factories.service_account(Role.CLIENT)
    with pytest.raises(IntegrityError):
        ServiceAccount.objects.filter(pk=account.pk).update(**values)
