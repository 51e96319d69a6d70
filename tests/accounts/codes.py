"""An authenticator app: the code that belongs to a secret now."""

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from apps.accounts import services
from apps.accounts.models import User
from apps.accounts.principals import of_user
from apps.accounts.second_factor import new_secret

PERIOD_S = 30


def code_of(secret: str, *, steps: int = 0) -> str:
    """The code now, or `steps` half-minutes later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD_S + steps)))


def enable(user: User) -> tuple[str, list[str]]:
    """Set up one-time codes; the secret and the recovery codes. The code before now is spent."""
    secret = new_secret()
    code = code_of(secret, steps=-1)
    spare = services.enable_codes(actor=of_user(user), user=user, secret=secret, code=code)
    return secret, spare


def forget_used(user: User) -> None:
    """As if half a minute had passed: codes of now are unspent."""
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    row.data = {**row.data, "step": 0}
    row.save(update_fields=["data"])
