"""Django's admin: for administrators, to look; changes go through services."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events import chain
from apps.events.models import Cursor, DeadLetter, Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db


def signed_in(client: Client, user: User) -> Client:
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def staff(client: Client) -> Client:
    return signed_in(client, factories.user(Role.ADMIN, username="ada"))


def test_admin__nobody_signed_in__sent_to_our_sign_in(client: Client) -> None:
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0] == "/sign-in/?next=%2Fadmin%2F"


def test_admin__scientist__refused(client: Client) -> None:
    answer = signed_in(client, factories.user(Role.SCIENTIST)).get("/admin/", follow=True)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "model",
    [model for label in ("accounts", "events") for model in apps.get_app_config(label).get_models()
     if admin.site.is_registered(model)],
    ids=lambda model: model.__name__,
)  # fmt: skip
def test_admin__list_page__opens(staff: Client, model: type[Model]) -> None:
    factories.token(factories.service_account())
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    assert staff.get(url).status_code == 200


def test_admin__token_page__shows_no_digest(staff: Client) -> None:
    token, _ = factories.token(factories.service_account())
    answer = staff.get(reverse("admin:accounts_token_change", args=[token.pk]))
    assert token.prefix in answer.content.decode()
    assert token.digest not in answer.content.decode()


def test_admin__user_page__shows_no_password(staff: Client) -> None:
    user = factories.user()
    answer = staff.get(reverse("admin:accounts_user_change", args=[user.pk]))
    assert user.password not in answer.content.decode()


def test_admin__revoke_with_reason__goes_through_the_service(staff: Client) -> None:
    token, _ = factories.token(factories.service_account())
    data = {"action": "revoke", "_selected_action": token.pk, "reason": "leak"}
    staff.post(reverse("admin:accounts_token_changelist"), data)
    event = Event.objects.get(verb="token.revoked")
    assert (event.actor_key, event.reason) == ("user:ada", "leak")


def test_admin__revoke_without_reason__changes_nothing(staff: Client) -> None:
    token, _ = factories.token(factories.service_account())
    data = {"action": "revoke", "_selected_action": token.pk}
    staff.post(reverse("admin:accounts_token_changelist"), data)
    token.refresh_from_db()
    assert token.revoked_at is None


def test_admin__program_of_another_team__service_refuses(staff: Client) -> None:
    account = factories.service_account()
    User.objects.get(username="ada").memberships.all().delete()
    data = {"action": "disable", "_selected_action": account.pk, "reason": "x"}
    staff.post(reverse("admin:accounts_serviceaccount_changelist"), data)
    account.refresh_from_db()
    assert account.disabled_at is None


def test_admin__nothing_is_added_or_deleted(staff: Client) -> None:
    user = factories.user()
    assert staff.get(reverse("admin:accounts_user_add")).status_code == 403
    url = reverse("admin:accounts_user_delete", args=[user.pk])
    assert staff.post(url, {"post": "yes"}).status_code == 403


def test_admin__dead_letters__are_listed(staff: Client) -> None:
    factories.user()
    chain.append_committed()
    Cursor.objects.create(subscriber="slow", seq=0)
    letter = DeadLetter(subscriber="slow", chained_id=1, error="away")
    letter.save()
    answer = staff.get(reverse("admin:events_deadletter_changelist"))
    assert "away" in answer.content.decode()
