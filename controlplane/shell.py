"""What the shell around every page shows: navigation, environment, what waits."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.registry.models import PromotionRequest

# title, name of the route, prefix of the paths that belong to it
ENTRIES = (
    ("Home", "home", "/home/"),
    ("Models", "model-list", "/models/"),
    ("Approvals", "approval-list", "/approvals/"),
    ("Endpoints", "endpoint-list", "/endpoints/"),
    ("Rollouts", "rollout-list", "/rollouts/"),
    ("Experiments", "experiment-list", "/experiments/"),
    ("Teams", "team-list", "/teams/"),
    ("Mirrors", "mirror-list", "/mirrors/"),
    ("Webhooks", "webhook-list", "/webhooks/"),
    ("Audit", "audit", "/audit/"),
)


@dataclass(frozen=True)
class Entry:
    """One entry of the rail."""

    title: str
    href: str
    current: bool
    count: int = 0


def context(request: HttpRequest) -> dict[str, object]:
    """Template context of the shell."""
    tone = "attention" if settings.ENVIRONMENT_NAME == "production" else ""
    shared: dict[str, object] = {
        "environment_name": settings.ENVIRONMENT_NAME,
        "environment_tone": tone,
    }
    if isinstance(getattr(request, "user", None), User):
        shared["navigation"] = _navigation(request.path)
    return shared


def _navigation(path: str) -> list[Entry]:
    waiting = PromotionRequest.objects.open(now=timezone.now()).count()
    return [
        Entry(
            title=title,
            href=reverse(route),
            current=path.startswith(prefix) or path == reverse(route),
            count=waiting if route == "approval-list" else 0,
        )
        for title, route, prefix in ENTRIES
    ]
