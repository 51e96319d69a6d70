"""Messages to webhooks: made of events, sent again, given up, forgotten."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.events.models import Event
from apps.events.services import record
from apps.notices import payload, schedule
from apps.notices.errors import WebhookDisabled
from apps.notices.models import Attempt, Delivery, DeliveryState, Webhook
from apps.notices.schedule import Outcome, Verdict
from apps.notices.services.webhooks import switch_off

log = structlog.get_logger(__name__)
SENDER = system("webhooks")
EXCERPT = 1_000
FORGOTTEN_AT_ONCE = 5_000


def publish(*, event: Event) -> int:
    """Make a message for every webhook of the event's team that hears it; how many.

    Safe to repeat: one event makes one message a webhook. What is told of a webhook itself is
    not sent to it: a failing address would go on talking about itself.
    """
    if not event.team_key:
        return 0
    hearing = [
        webhook
        for webhook in Webhook.objects.filter(team__key=event.team_key, disabled_at__isnull=True)
        if webhook.key != event.object_key
        and payload.hears(
            webhook.verbs, webhook.objects_heard, verb=event.verb, object_key=event.object_key
        )
    ]
    if not hearing:
        return 0
    body = payload.body_of(event)
    made = [
        Delivery(
            webhook=webhook,
            event_id=event.pk,
            verb=event.verb,
            object_key=event.object_key,
            body=body,
        )
        for webhook in hearing
    ]
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


@transaction.atomic
def send_test(*, actor: Principal, webhook: Webhook) -> Delivery:
    """Send a message that tells of nothing, signed like every other. Raises WebhookDisabled."""
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    _require_enabled(webhook)
    now = timezone.now()
    body = payload.ping_body(team_key=webhook.team.key, webhook_key=webhook.key, at=now.isoformat())
    made = Delivery.objects.create(
        webhook=webhook, verb=payload.PING, object_key=webhook.key, body=body, due_at=now
    )
    made.refresh_from_db()
    _let_go(webhook)
    record(
        actor=actor,
        verb="webhook.tested",
        object_key=webhook.key,
        team_key=webhook.team.key,
        after={"delivery": str(made.pk)},
    )
    return made


@transaction.atomic
def replay(*, actor: Principal, delivery: Delivery, reason: str = "") -> Delivery:
    """Send a message again, as it was and under its old id; one that waits is sent now."""
    webhook = delivery.webhook
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    _require_enabled(webhook)
    locked = Delivery.objects.select_for_update().get(pk=delivery.pk)
    before = locked.state
    locked.state, locked.tries = DeliveryState.PENDING.value, 0
    locked.due_at, locked.ended_at = timezone.now(), None
    locked.save(update_fields=["state", "tries", "due_at", "ended_at"])
    _let_go(webhook)
    record(
        actor=actor,
        verb="delivery.replayed",
        object_key=locked.key,
        team_key=webhook.team.key,
        before={"state": before},
        after={"webhook": webhook.key, "event_verb": locked.verb},
        reason=reason,
    )
    return locked


@transaction.atomic
def replay_dead(
    *, actor: Principal, webhook: Webhook, since: datetime | None = None, reason: str
) -> int:
    """Send every message again that was given up (since a moment, if given); how many."""
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    _require_enabled(webhook)
    dead = webhook.deliveries.filter(state=DeliveryState.DEAD.value)
    if since is not None:
        dead = dead.filter(created_at__gte=since)
    count = dead.update(
        state=DeliveryState.PENDING.value, tries=0, due_at=timezone.now(), ended_at=None
    )
    _let_go(webhook)
    record(
        actor=actor,
        verb="webhook.dead_replayed",
        object_key=webhook.key,
        team_key=webhook.team.key,
        after={"messages": count, "since": since.isoformat() if since else None},
        reason=reason,
    )
    return count


@transaction.atomic
def note_attempt(*, delivery: Delivery, outcome: Outcome, now: datetime, jitter: float) -> None:
    """Keep what came of a try and decide what follows from it for the message and its address."""
    webhook = (
        Webhook.objects.select_for_update(of=("self",))
        .select_related("team")
        .filter(pk=delivery.webhook_id)
        .first()
    )
    locked = Delivery.objects.select_for_update().filter(pk=delivery.pk).first()
    if webhook is None or locked is None:
        return  # deleted while it was being sent
    Attempt.objects.create(
        delivery=locked,
        at=now,
        status=outcome.status,
        latency_s=outcome.latency_s,
        excerpt=outcome.excerpt[:EXCERPT].replace("\0", ""),
        error=outcome.error[:500],
    )
    verdict = schedule.judge(outcome)
    _settle(locked, verdict, now=now, jitter=jitter)
    _follow(webhook, verdict, outcome, now=now, jitter=jitter)


def expire_deliveries(*, now: datetime) -> int:
    """Forget messages older than WEBHOOK_RETENTION_DAYS, some thousands at a time; how many."""
    until = now - timedelta(days=settings.CONFIG.webhook_retention_days)
    old = Delivery.objects.filter(created_at__lt=until).order_by("created_at").values("pk")
    return Delivery.objects.filter(pk__in=old[:FORGOTTEN_AT_ONCE]).delete()[0]


def _settle(delivery: Delivery, verdict: Verdict, *, now: datetime, jitter: float) -> None:
    delivery.tries += 1
    if verdict is Verdict.DELIVERED:
        delivery.state, delivery.ended_at = DeliveryState.DELIVERED.value, now
    elif verdict is Verdict.GONE or delivery.tries >= schedule.MOST_TRIES:
        delivery.state, delivery.ended_at = DeliveryState.DEAD.value, now
        log.warning("delivery.dead", delivery=str(delivery.pk), tries=delivery.tries)
    else:
        delivery.due_at = now + schedule.wait(delivery.tries, jitter=jitter)
    delivery.save(update_fields=["state", "tries", "due_at", "ended_at"])


def _follow(
    webhook: Webhook, verdict: Verdict, outcome: Outcome, *, now: datetime, jitter: float
) -> None:
    """What a try says about the address itself."""
    if verdict is Verdict.DELIVERED:
        webhook.failures, webhook.first_failed_at, webhook.resumes_at = 0, None, None
    else:
        webhook.failures += 1
        webhook.first_failed_at = webhook.first_failed_at or now
    if verdict is Verdict.HOLD:
        pause = schedule.hold(webhook.failures, jitter=jitter, retry_after_s=outcome.retry_after_s)
        webhook.resumes_at = now + pause
    webhook.save(update_fields=["failures", "first_failed_at", "resumes_at"])
    why = _why_off(webhook, verdict, now)
    if why and webhook.disabled_at is None:
        switch_off(actor=SENDER, locked=webhook, reason=why)


def _why_off(webhook: Webhook, verdict: Verdict, now: datetime) -> str:
    if verdict is Verdict.GONE:
        return "the address answered 410: it wants nothing more"
    days = settings.CONFIG.webhook_disable_after_days
    since = webhook.first_failed_at
    if since is not None and now - since >= timedelta(days=days):
        return f"every try failed for {days} days"
    return ""


def _require_enabled(webhook: Webhook) -> None:
    if webhook.disabled_at is not None:
        raise WebhookDisabled(f"{webhook.url} is disabled: enable it first")


def _let_go(webhook: Webhook) -> None:
    """Whoever asks for a message by hand does not wait for the end of a hold."""
    Webhook.objects.filter(pk=webhook.pk).update(resumes_at=None)
