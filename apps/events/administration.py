"""What every admin page stands on: staff look; changes go through services, by actions."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm

from apps.events.errors import DomainError

M = TypeVar("M", bound=models.Model)


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
