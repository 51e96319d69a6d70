"""Patience: how many failed sign-ins one address may cause, whatever names it tries.

axes locks a name out from an address after ten failures; this stops an address that tries one
password with a thousand names. Both count in the database.
"""

from datetime import timedelta

from axes.helpers import get_client_ip_address
from axes.models import AccessAttempt
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.errors import TooManyAttempts

LIMIT = 100
COOL_OFF = timedelta(minutes=15)
TOO_MANY = "Too many failed attempts. Wait a quarter of an hour and try again."


def require_patience(request: HttpRequest) -> None:
    """Raise TooManyAttempts when too many sign-ins from this address have failed lately."""
    since = timezone.now() - COOL_OFF
    attempts = AccessAttempt.objects.filter(
        ip_address=get_client_ip_address(request), attempt_time__gte=since
    )
    if (attempts.aggregate(all=Sum("failures_since_start"))["all"] or 0) >= LIMIT:
        raise TooManyAttempts(TOO_MANY)
