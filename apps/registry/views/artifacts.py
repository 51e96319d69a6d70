"""Asking for variants, and giving a taking over up, from a version's page."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.accounts.access import Permission
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.registry import services
from apps.registry.selectors import get_version


@require_POST
@page(Permission.REGISTER)
def derive(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """Have a smaller variant made."""
    kind = request.POST.get("kind", "")
    made = services.derive(actor=principal_of(request), version=get_version(name, ref), kind=kind)
    messages.success(request, f"The {kind} variant will be {name} v{made.number}.")
    return redirect("version", name, made.number)


@require_POST
@page(Permission.REGISTER)
def cancel(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """Give the taking over of a pending version up."""
    services.cancel_takeover(
        actor=principal_of(request), version=get_version(name, ref), reason=reason_of(request)
    )
    messages.success(request, f"The artifact of {name} v{ref} is no longer taken over.")
    return redirect("version", name, ref)
