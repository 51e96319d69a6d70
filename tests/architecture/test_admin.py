"""Django's admin shows every table to administrators, and changes none by itself."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.access import Role
from apps.events.administration import KEPT_BACK, addressable
from tests.accounts import factories

pytestmark = pytest.mark.django_db
# Tables without a page, each for a reason.
UNSEEN = {
    "auth.Permission": "roles in teams decide",
    "auth.Group": "roles in teams decide",
    "contenttypes.ContentType": "Django's own bookkeeping",
    "admin.LogEntry": "the admin changes nothing; the event log says what did",
    "account.EmailAddress": "the identity provider keeps addresses",
    "account.EmailConfirmation": "the identity provider keeps addresses",
    "socialaccount.SocialApp": "the provider is a setting",
    "socialaccount.SocialToken": "tokens of the provider are not kept",
    "axes.AccessAttemptExpiration": "locks end by the clock",
    "axes.AccessFailureLog": "switched off",
    "axes.AccessLog": "the event log has user.signed_in",
}
ALL = apps.get_models()
SHOWN = [model for model in ALL if admin.site.is_registered(model)]


def test_admin__each_table__has_a_page_or_a_reason() -> None:
    unseen = {model._meta.label for model in ALL if not admin.site.is_registered(model)}
    composite = {model._meta.label for model in ALL if not addressable(model)}
    assert unseen - composite == set(UNSEEN)


@pytest.fixture
def staff(client: Client) -> Client:
    user = factories.user(Role.ADMIN)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_admin__each_table__is_looked_at_and_changed_by_services_alone(staff: Client) -> None:
    for model in SHOWN:
        assert staff.get(address(model, "changelist")).status_code == 200, model
        row = model._default_manager.first()
        key = row.pk if row is not None else "1"
        refused = [
            staff.post(address(model, "add"), {}).status_code,
            staff.post(address(model, "delete", key), {"post": "yes"}).status_code,
            staff.post(address(model, "change", key), {}).status_code,
        ]
        assert set(refused) <= ({403} if row is not None else {403, 302}), (model, refused)
        actions = admin.site.get_model_admin(model).actions or ()
        assert "delete_selected" not in actions


def test_admin__each_table__shows_no_secret(staff: Client) -> None:
    for model in SHOWN:
        page = admin.site.get_model_admin(model)
        request = staff.get("/admin/").wsgi_request
        fields = {*page.get_fields(request), *page.get_list_display(request)}
        assert not [name for name in fields if KEPT_BACK.search(str(name))], model
