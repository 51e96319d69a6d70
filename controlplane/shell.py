"""What the shell around every page shows: navigation, environment, who is signed in."""

from django.conf import settings
from django.http import HttpRequest


def context(request: HttpRequest) -> dict[str, object]:
    """Template context of the shell."""
    return {"environment_name": settings.ENVIRONMENT_NAME}
