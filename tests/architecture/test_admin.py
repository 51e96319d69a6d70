"""Django's admin shows tables to administrators, and changes none by itself."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.accounts.access import Role
from tests.accounts import factories

SHOWN = [
    model
    for config in apps.get_app_configs()
    if config.name.startswith("apps.")
    for model in config.get_models()
    if admin.site.is_registered(model)
]


@pytest.mark.django_db
@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_admin__list_page__opens_for_an_administrator(client: Client, model: type[Model]) -> None:
    user = factories.user(Role.ADMIN)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert client.get(url).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_admin__each_table__only_services_change_it(model: type[Model]) -> None:
    request = RequestFactory().get("/admin/")
    request.user = factories.user(Role.ADMIN)
    page = admin.site.get_model_admin(model)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
