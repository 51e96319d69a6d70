"""One-time codes and recovery codes, kept in django-allauth's tables.

Whether a code was used and how many were wrong stands in the row itself, under its lock: it holds
for every process, and from every address that somebody who knows the password may come from.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from django.db import transaction

from apps.accounts.access import Permission, Principal, authorise_anywhere
from apps.accounts.errors import AlreadyDone, TooManyAttempts
from apps.accounts.models import User
from apps.events.errors import Invalid
from apps.events.services import record

LIMIT = 10
COOL_OFF = timedelta(minutes=15)
KINDS = Authenticator.Type
CODES = (KINDS.TOTP, KINDS.RECOVERY_CODES)
WRONG = "That code is wrong, or was used already."


@dataclass(frozen=True)
class CodeState:
    """Whether somebody's sign-in asks for a code, since when, and how many spare codes are left."""

    enabled_at: datetime | None
    used_at: datetime | None
    recovery_left: int


def new_secret() -> str:
    """160 random bits in base 32, for an authenticator app."""
    secret: str = generate_totp_secret()
    return secret


def state_of(user: User) -> CodeState:
    """How a person's second factor stands."""
    rows = {row.type: row for row in Authenticator.objects.filter(user=user, type__in=CODES)}
    totp, spare = rows.get(KINDS.TOTP), rows.get(KINDS.RECOVERY_CODES)
    return CodeState(
        enabled_at=totp.created_at if totp else None,
        used_at=totp.last_used_at if totp else None,
        recovery_left=len(spare.wrap().get_unused_codes()) if spare else 0,
    )


@transaction.atomic
def enable_codes(*, actor: Principal, user: User, secret: str, code: str) -> list[str]:
    """Ask for a code at every sign-in from now on; return the recovery codes.

    `code` proves that the person's app knows the secret. Raises Invalid for a wrong one,
    AlreadyDone.
    """
    _own(actor, user)
    User.objects.select_for_update().get(pk=user.pk)
    if Authenticator.objects.filter(user=user, type=KINDS.TOTP).exists():
        raise AlreadyDone("one-time codes are set up already")
    step = _step_of(secret, code, after=0)
    if step is None:
        raise Invalid("that code does not fit: is the clock of your device right?", field="code")
    row = TOTP.activate(user, secret).instance
    row.data = {**row.data, "step": step}
    row.save(update_fields=["data"])
    record(actor=actor, verb="user.codes_enabled", object_key=user.key)
    return _fresh_recovery_codes(user)


@transaction.atomic
def disable_codes(*, actor: Principal, user: User, reason: str) -> None:
    """Ask for no code any more: by themselves, or by an administrator when a device is lost.

    Raises AlreadyDone.
    """
    if actor.user_id != user.pk:
        authorise_anywhere(actor, Permission.ADMINISTER)
    deleted, _ = Authenticator.objects.filter(user=user, type__in=CODES).delete()
    if not deleted:
        raise AlreadyDone("one-time codes are not set up")
    record(actor=actor, verb="user.codes_disabled", object_key=user.key, reason=reason)


@transaction.atomic
def renew_recovery_codes(*, actor: Principal, user: User) -> list[str]:
    """Other recovery codes; the ones before work no longer. Raises AlreadyDone without TOTP."""
    _own(actor, user)
    if not Authenticator.objects.filter(user=user, type=KINDS.TOTP).exists():
        raise AlreadyDone("one-time codes are not set up")
    record(actor=actor, verb="user.recovery_codes_renewed", object_key=user.key)
    return _fresh_recovery_codes(user)


def use_code(*, user: User, code: str) -> Authenticator | None:
    """Spend a one-time or recovery code; the row it belongs to, or None when it is wrong.

    Raises TooManyAttempts after LIMIT wrong ones, from wherever, until COOL_OFF has passed.
    """
    with transaction.atomic():
        rows = Authenticator.objects.select_for_update().filter(user=user, type__in=CODES)
        ordered = sorted(rows, key=lambda row: CODES.index(KINDS(row.type)))
        if not ordered:
            return None
        main = ordered[0]
        _require_patience(main)
        for row in ordered:
            if _spend(row, code):
                _keep(main, failures=0, failed_at=0.0)
                row.record_usage()
                return row
        _keep(main, failures=main.data.get("failures", 0) + 1, failed_at=time.time())
    return None


def _spend(row: Authenticator, code: str) -> bool:
    if row.type == KINDS.RECOVERY_CODES:
        spent: bool = RecoveryCodes(row).validate_code(code)
        row.refresh_from_db(fields=["data"])
        return spent
    step = _step_of(decrypt(row.data["secret"]), code, after=row.data.get("step", 0))
    if step is not None:
        _keep(row, step=step)
    return step is not None


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """The 30-second step that the code belongs to, if it is a later one than `after`."""
    steps: Iterable[int] = yield_hotp_counters_from_time()
    for step in steps:
        expected = format_hotp_value(hotp_value(secret, step))
        if step > after and compare_user_code(actual=code, expected=expected):
            return step
    return None


def _require_patience(row: Authenticator) -> None:
    locked_until = row.data.get("failed_at", 0.0) + COOL_OFF.total_seconds()
    if time.time() >= locked_until:
        row.data["failures"] = 0
    elif row.data.get("failures", 0) >= LIMIT:
        raise TooManyAttempts("Too many wrong codes. Wait a quarter of an hour and try again.")


def _keep(row: Authenticator, **facts: float) -> None:
    row.data = {**row.data, **facts}
    row.save(update_fields=["data"])


def _fresh_recovery_codes(user: User) -> list[str]:
    Authenticator.objects.filter(user=user, type=KINDS.RECOVERY_CODES).delete()
    codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
    return codes


def _own(actor: Principal, user: User) -> None:
    if actor.user_id != user.pk:
        authorise_anywhere(actor, Permission.ADMINISTER)
        raise Invalid("nobody sets up the codes of somebody else")
