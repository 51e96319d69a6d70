"""Mail to people: what they are told, when they want it, and what became of it."""

from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise_anywhere
from apps.accounts.errors import PermissionDenied
from apps.accounts.models import User
from apps.events.models import Event
from apps.notices.models import Mail, MailState, Mode, NoticeKind, NoticePreference
from apps.notices.occasions import Occasion, occasion_of

log = structlog.get_logger(__name__)
MOST_TRIES = 8
FORGOTTEN_AT_ONCE = 5_000
FIRST_WAIT = timedelta(minutes=1)


def notify(*, event: Event) -> int:
    """Note a mail for everybody who is to hear of this event and wants to; how many.

    Safe to repeat: nobody is told of one event twice. People without an address are left out.
    """
    occasion = occasion_of(event)
    if occasion is None:
        return 0
    modes = _modes(occasion)
    mails = [
        _mail(event, occasion, user, modes.get(user.pk, Mode.IMMEDIATELY))
        for user in occasion.to
        if user.email and modes.get(user.pk) is not Mode.NEVER
    ]
    Mail.objects.bulk_create(mails, ignore_conflicts=True)
    return len(mails)


@transaction.atomic
def set_preferences(
    *, actor: Principal, user: User, modes: dict[NoticeKind, Mode]
) -> dict[NoticeKind, Mode]:
    """Change when a person is told of these kinds; returns all. Everybody sets their own alone."""
    authorise_anywhere(actor, Permission.VIEW)
    if actor.user_id != user.pk:
        raise PermissionDenied("everybody chooses their own notices")
    for kind, mode in modes.items():
        NoticePreference.objects.update_or_create(
            user=user, kind=kind.value, defaults={"mode": mode.value}
        )
    return preferences(user=user)


def preferences(*, user: User) -> dict[NoticeKind, Mode]:
    """When a person is told of each kind."""
    chosen = dict(user.notice_preferences.values_list("kind", "mode"))
    return {kind: Mode(chosen.get(kind.value, Mode.IMMEDIATELY)) for kind in NoticeKind}


def note_sent(*, mails: list[Mail], now: datetime) -> None:
    """They are with the mail server."""
    Mail.objects.filter(pk__in=[mail.pk for mail in mails]).update(
        state=MailState.SENT.value, sent_at=now, error=""
    )


def note_failure(*, mails: list[Mail], error: str, now: datetime) -> None:
    """Try again later, longer each time; give up after a day or so."""
    for mail in mails:
        mail.tries += 1
        given_up = mail.tries >= MOST_TRIES
        mail.state = (MailState.FAILED if given_up else MailState.WAITING).value
        mail.error = error[:500]
        mail.due_at = now + FIRST_WAIT * 4.0 ** min(mail.tries - 1, 5)
        mail.save(update_fields=["tries", "state", "error", "due_at"])
    log.warning("mail.failed", mails=[mail.pk for mail in mails], error=error)


def expire_mails(*, now: datetime) -> int:
    """Forget mails older than WEBHOOK_RETENTION_DAYS, some thousands at a time; how many."""
    until = now - timedelta(days=settings.CONFIG.webhook_retention_days)
    old = Mail.objects.filter(due_at__lt=until).order_by("due_at").values("pk")
    return Mail.objects.filter(pk__in=old[:FORGOTTEN_AT_ONCE]).delete()[0]


def next_digest(*, now: datetime) -> datetime:
    """The coming hour of digests (MAIL_DIGEST_HOUR, UTC)."""
    hour = settings.CONFIG.mail_digest_hour
    today = now.astimezone(UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def _mail(event: Event, occasion: Occasion, user: User, mode: Mode) -> Mail:
    daily = mode is Mode.DAILY
    now = timezone.now()
    return Mail(
        user=user,
        kind=occasion.kind.value,
        event_id=event.pk,
        subject=occasion.subject[:200],
        sentence=occasion.sentence,
        path=occasion.path,
        in_digest=daily,
        occurred_at=event.occurred_at,
        due_at=next_digest(now=now) if daily else now,
    )


def _modes(occasion: Occasion) -> dict[int, Mode]:
    chosen = NoticePreference.objects.filter(user__in=occasion.to, kind=occasion.kind.value)
    return {pk: Mode(mode) for pk, mode in chosen.values_list("user_id", "mode")}
