"""What every admin page stands on: staff look; changes go through services, by actions."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm

from apps.events.errors import DomainError

M = TypeVar("M", bound=models.Model)

# What no page shows, whoever looks: secrets, and what proves that somebody holds one.
KEPT_BACK = re.compile(r"secret|password|session_key|session_data")
MOST_COLUMNS = 6
LONG = (models.JSONField, models.TextField, models.BinaryField)


class ReasonActionForm(ActionForm):  # type: ignore[misc]  # unfold is untyped
    """An action, and why."""

    reason = forms.CharField(
        required=False, max_length=2000, widget=forms.TextInput(attrs={"placeholder": "Reason"})
    )


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """Every staff member may look; nobody adds, changes or deletes rows behind the services."""

    action_form = ReasonActionForm
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Staff see the section."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff see the rows."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def perform(
        self, request: HttpRequest, rows: Iterable[M], act: Callable[[M, str], object]
    ) -> None:
        """Call a service for each row with the reason given; say what was done and refused."""
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, "Say why: fill in the reason.", messages.ERROR)
            return
        for row in rows:
            try:
                act(row, reason)
            except DomainError as error:
                self.message_user(request, f"{row}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{row}: done.", messages.SUCCESS)


def register_the_rest() -> None:
    """Give every table of ours that no `admin.py` names a page to look at it.

    Tables with a key of several columns have none: Django's admin cannot address their rows.
    """
    for config in apps.get_app_configs():
        if config.name.startswith("apps."):
            for model in config.get_models():
                if not admin.site.is_registered(model) and addressable(model):
                    admin.site.register(model, _page_of(model))


def addressable(model: type[models.Model]) -> bool:
    """Whether one column is the key of the table's rows."""
    return not isinstance(model._meta.pk, models.CompositePrimaryKey)


def _page_of(model: type[models.Model]) -> type[ReadOnlyAdmin]:
    shown = [one for one in model._meta.concrete_fields if not KEPT_BACK.search(one.name)]
    short = [one for one in shown if not isinstance(one, LONG)]
    return type(
        f"{model.__name__}Admin",
        (ReadOnlyAdmin,),
        {
            "__doc__": model._meta.verbose_name_plural,
            "list_display": tuple(one.name for one in short[:MOST_COLUMNS]) or ("__str__",),
            "list_select_related": tuple(one.name for one in short if one.is_relation) or False,
            "fields": tuple(one.name for one in shown if one.editable or one.primary_key),
        },
    )
