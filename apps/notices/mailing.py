"""From waiting mails to the mail server: one message for one thing, one digest for a day."""

import smtplib
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from apps.notices import services
from apps.notices.models import Mail, MailState

AT_ONCE = 100
MOST_IN_DIGEST = 200


def send_mails(*, now: datetime) -> int:
    """Send what is due; how many messages went out. Stops where the mail server fails.

    A mail is noted as sent after the server took it: a process that dies in between sends it
    twice rather than never.
    """
    for sent in range(AT_ONCE):
        if not _send_next(now):
            return sent
    return AT_ONCE


@transaction.atomic
def _send_next(now: datetime) -> bool:
    first = _due(now).first()
    if first is None:
        return False
    mails = [first]
    if first.in_digest:
        mails = list(_due(now).filter(user=first.user, in_digest=True)[:MOST_IN_DIGEST])
    try:
        _message(mails).send()
    except (OSError, smtplib.SMTPException) as error:
        services.note_failure(mails=mails, error=f"{type(error).__name__}: {error}", now=now)
        return False
    services.note_sent(mails=mails, now=now)
    return True


def _due(now: datetime) -> QuerySet[Mail]:
    waiting = Mail.objects.filter(
        state=MailState.WAITING.value, due_at__lte=now, user__is_active=True
    )
    ordered = waiting.select_related("user").order_by("due_at", "id")
    return ordered.select_for_update(of=("self",), skip_locked=True)


def _message(mails: list[Mail]) -> EmailMultiAlternatives:
    user = mails[0].user
    subject = mails[0].subject
    if len(mails) > 1:
        subject = f"{len(mails)} notices of today"
    web_url = settings.CONFIG.web_url.rstrip("/")
    context = {
        "name": user.get_full_name() or user.username,
        "subject": subject,
        "mails": [(mail, web_url + mail.path) for mail in mails],
        "preferences": web_url + reverse("notice-preferences"),
        "environment": settings.ENVIRONMENT_NAME,
    }
    message = EmailMultiAlternatives(
        subject=f"[Switchyard] {subject}",
        body=render_to_string("notices/mail.txt", context),
        to=[user.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("notices/mail.html", context), "text/html")
    return message
