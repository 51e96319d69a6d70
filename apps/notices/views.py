"""Pages: a team's webhooks, what was sent to them, and what a person is told of."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.keyset import keyset
from apps.accounts.models import Team
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.accounts.selectors import get_team, get_user
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.notices import selectors, services
from apps.notices.models import DeliveryState, Mode, NoticeKind, Webhook

TIMELINE = 20
LIST_SIZE = 50
ROTATION_OVERLAP = timedelta(days=1)
KINDS = {
    NoticeKind.PROMOTION_WAITING: "A promotion waits for my decision",
    NoticeKind.PROMOTION_DECIDED: "My promotion request is decided, expired or void",
    NoticeKind.ROLLED_BACK: "A model of mine was rolled back",
    NoticeKind.DEPLOYMENT_FAILED: "A deployment of my model failed",
    NoticeKind.WEBHOOK_DISABLED: "A webhook of my team was disabled",
}
# action of the page -> its service and what is said when it is done
Act = Callable[..., object]
ACTS: dict[str, tuple[Act, str]] = {
    "enable": (services.enable_webhook, "Enabled: what waits goes out now."),
    "disable": (services.disable_webhook, "Disabled: nothing is sent any more."),
    "replay-dead": (services.replay_dead, "What was given up goes out again."),
}


@require_GET
@page(Permission.VIEW)
def webhook_list(request: HttpRequest) -> HttpResponse:
    """Webhooks of the reader's teams."""
    return _list(request, {})


@never_cache
@require_POST
@page(Permission.ADMINISTER)
def webhook_create(request: HttpRequest) -> HttpResponse:
    """Add one; the answer shows its secret, this once."""
    given = request.POST
    try:
        webhook, secret = services.create_webhook(
            actor=principal_of(request),
            team=get_team(given.get("team", "")),
            url=given.get("url", "").strip(),
            verbs=_patterns(given.get("verbs", "")),
            objects=_patterns(given.get("objects", "")),
            description=given.get("description", "").strip()[:200],
        )
    except DomainError as error:
        return _list(request, {"refusal": error, "given": given}, status=error.status)
    return _detail(request, webhook, {"secret": secret})


@require_GET
@page(Permission.VIEW)
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """One webhook: how it fares, and every message to it."""
    return _detail(request, selectors.get_webhook(principal_of(request), pk), {})


@never_cache
@require_POST
@page(Permission.ADMINISTER)
def webhook_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a new secret, shown this once; the old one signs beside it for a day."""
    found = selectors.get_webhook(principal_of(request), pk)
    rotated, secret = services.rotate_secret(
        actor=principal_of(request),
        webhook=found,
        overlap=ROTATION_OVERLAP,
        reason=reason_of(request),
    )
    return _detail(request, rotated, {"secret": secret})


@require_POST
@page(Permission.ADMINISTER)
def webhook_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a message that tells of nothing, and look at what comes of it."""
    actor = principal_of(request)
    sent = services.send_test(actor=actor, webhook=selectors.get_webhook(actor, pk))
    return redirect("delivery", sent.pk)


@require_POST
@page(Permission.ADMINISTER)
def webhook_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it away."""
    actor = principal_of(request)
    found = selectors.get_webhook(actor, pk)
    services.delete_webhook(actor=actor, webhook=found, reason=reason_of(request))
    messages.success(request, f"{found.url} hears nothing any more.")
    return redirect("webhook-list")


@require_POST
@page(Permission.ADMINISTER)
def webhook_act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Enable, disable, or send again what was given up; with a reason."""
    actor = principal_of(request)
    service, done = ACTS[action]
    service(actor=actor, webhook=selectors.get_webhook(actor, pk), reason=reason_of(request))
    messages.success(request, done)
    return redirect("webhook", pk)


@require_GET
@page(Permission.VIEW)
def delivery(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One message: its text, and every try."""
    actor = principal_of(request)
    found = selectors.get_delivery(actor, pk)
    context = {
        "delivery": found,
        "attempts": found.attempts.all()[:LIST_SIZE],
        "may_write": _may_write(actor, found.webhook),
        "sentence": _words(found.state, found.tries),
    }
    return render(request, "notices/delivery.html", context)


@require_POST
@page(Permission.ADMINISTER)
def delivery_replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send a message again, under its old id."""
    actor = principal_of(request)
    services.replay(actor=actor, delivery=selectors.get_delivery(actor, pk), reason="from its page")
    messages.success(request, "It goes out again.")
    return redirect("delivery", pk)


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW)
def preferences(request: HttpRequest) -> HttpResponse:
    """What the reader is told of by mail, and when."""
    actor = principal_of(request)
    user = get_user(actor.key.removeprefix("user:"))
    if request.method == "POST":
        modes = {
            kind: Mode(request.POST[kind.value])
            for kind in NoticeKind
            if request.POST.get(kind.value) in list(Mode)
        }
        services.set_preferences(actor=actor, user=user, modes=modes)
        messages.success(request, "Kept.")
        return redirect("notice-preferences")
    chosen = services.preferences(user=user)
    context = {
        "kinds": [(kind, words, chosen[kind]) for kind, words in KINDS.items()],
        "modes": list(Mode),
        "address": user.email,
    }
    return render(request, "notices/preferences.html", context)


def _list(request: HttpRequest, more: dict[str, object], status: int = 200) -> HttpResponse:
    actor = principal_of(request)
    rows = selectors.counted(selectors.webhooks_of(actor))
    context = {
        "page": keyset(request, rows),
        "teams": Team.objects.filter(key__in=actor.teams_with(Permission.ADMINISTER)),
        **more,
    }
    return render(request, "notices/webhook_list.html", context, status=status)


def _detail(request: HttpRequest, found: Webhook, more: dict[str, object]) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = found.deliveries.all()
    if state in list(DeliveryState):
        rows = rows.filter(state=state)
    may_write = _may_write(principal_of(request), found)
    context = {
        "webhook": found,
        "page": keyset(request, rows),
        "state": state,
        "states": list(DeliveryState),
        "sentence": _fares(found),
        "may_write": may_write,
        "dialogs": _dialogs(found) if may_write else [],
        "events": Event.objects.for_object(found.key)[:TIMELINE],
        **more,
    }
    return render(request, "notices/webhook.html", context)


def _may_write(actor: Principal, found: Webhook) -> bool:
    return actor.can(Permission.ADMINISTER, found.team.key)


def _dialogs(found: Webhook) -> list[dict[str, str]]:
    def act(name: str) -> str:
        return reverse(f"webhook-{name}", args=[found.pk])

    switch = (
        {"id": "enable", "title": "Enable", "label": "Enable", "action": act("enable")}
        if found.disabled_at
        else {
            "id": "disable",
            "title": "Disable",
            "label": "Disable",
            "action": act("disable"),
            "body": "What waits is kept; what happens meanwhile is never sent.",
            "tone": "danger",
        }
    )
    return [
        switch,
        {
            "id": "replay-dead",
            "title": "Send again what was given up",
            "label": "Send again",
            "action": act("replay-dead"),
            "body": "Every dead message, as it was and under its old id.",
        },
        {
            "id": "rotate",
            "title": "New secret",
            "label": "Make a new secret",
            "action": reverse("webhook-rotate", args=[found.pk]),
            "body": "It is shown once. The old one signs beside it for a day.",
        },
        {
            "id": "delete",
            "title": "Delete",
            "label": "Delete",
            "action": reverse("webhook-delete", args=[found.pk]),
            "body": "With every message that was sent to it.",
            "tone": "danger",
        },
    ]


def _fares(found: Webhook) -> str:
    """How a webhook fares, in one line."""
    if found.disabled_at is not None:
        return f"Disabled: {found.disabled_reason or 'by hand'}"
    if found.resumes_at is not None and found.resumes_at > timezone.now():
        times = "once" if found.failures == 1 else f"{found.failures} times in a row"
        return f"Failed {times}; its messages wait for the next try."
    if found.failures:
        return "The last message was not taken; it comes again."
    return "Enabled: every message so far was taken, or is on its way."


def _words(state: str, tries: int) -> str:
    count = "one try" if tries == 1 else f"{tries} tries"
    return {
        DeliveryState.DELIVERED: f"Delivered after {count}.",
        DeliveryState.DEAD: f"Given up after {count}; send it again when the receiver is mended.",
        DeliveryState.PENDING: f"On its way; {count} so far." if tries else "On its way.",
    }[DeliveryState(state)]


def _patterns(text: str) -> list[str]:
    return text.replace(",", " ").split()
