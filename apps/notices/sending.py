"""The sender: every due message goes out, one at a time to an address, many addresses at once.

One sender works at a time in the whole platform (an advisory lock), so one worker process is
busy with webhooks at most. A try is kept after it was made: a sender that dies in between sends
the message again, under the same id. Messages to one address keep their order while it takes
them; one that was refused comes again later, after those that followed it.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.events.errors import DomainError
from apps.notices import services, signing
from apps.notices.models import Delivery, Webhook
from apps.notices.outbound import Refused, Reply, Unreachable, deliver
from apps.notices.schedule import Outcome

SENDER_LOCK = 0x5359_0010
AT_ONCE = 16
BUDGET_S = 20.0
EXCERPT_BYTES = 1_000


@dataclass(frozen=True)
class Parcel:
    """One try, ready to go: nothing in it touches the database."""

    url: str
    body: bytes
    headers: dict[str, str]
    timeout_s: float


def send_due(*, budget_s: float = BUDGET_S) -> int:
    """Send what is due until nothing is, or no new try starts after `budget_s`; tries made.

    Returns 0 at once when another sender is at work.
    """
    with _alone() as leads:
        if not leads:
            return 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
            return _drain(pool, until=time.monotonic() + budget_s)


def _drain(pool: ThreadPoolExecutor, *, until: float) -> int:
    running: dict[Future[Outcome], Delivery] = {}
    made = 0
    while True:
        if time.monotonic() < until:
            busy = [one.webhook_id for one in running.values()]
            for delivery in _next(busy, AT_ONCE - len(running)):
                running[pool.submit(_prepare(delivery))] = delivery
        if not running:
            return made
        for ended in wait(running, return_when=FIRST_COMPLETED).done:
            services.note_attempt(
                delivery=running.pop(ended),
                outcome=ended.result(),
                now=timezone.now(),
                jitter=random.random(),  # noqa: S311  # spreads retries, guards nothing
            )
            made += 1


def _next(busy: list[int], count: int) -> list[Delivery]:
    """The first due message of each address that is not being called, the longest due first."""
    if count <= 0:
        return []
    due = Delivery.objects.due(now=timezone.now()).exclude(webhook_id__in=busy)
    first = due.order_by("webhook_id", "id").distinct("webhook_id").values_list("due_at", "id")
    chosen = [pk for _, pk in sorted(first)[:count]]
    return list(Delivery.objects.filter(pk__in=chosen).select_related("webhook"))


def _prepare(delivery: Delivery) -> Callable[[], Outcome]:
    """The try as a function for a thread of its own."""
    body = delivery.body.encode()
    try:
        secrets = _secrets(delivery.webhook)
    except InvalidToken:
        broken = Outcome(error="its secret cannot be read any more: rotate it")
        return lambda: broken
    headers = signing.headers(
        message_id=delivery.message_id, timestamp=int(time.time()), body=body, secrets=secrets
    )
    parcel = Parcel(delivery.webhook.url, body, headers, settings.CONFIG.webhook_timeout_s)
    return lambda: post(parcel)


def _secrets(webhook: Webhook) -> list[str]:
    sealed = [webhook.secret]
    ends_at = webhook.overlap_ends_at
    if webhook.older_secret is not None and ends_at is not None and ends_at > timezone.now():
        sealed.append(webhook.older_secret)
    return [signing.unseal(one) for one in sealed]


def post(parcel: Parcel) -> Outcome:
    """Make one try; whatever comes of it is an outcome."""
    try:
        reply = deliver(parcel.url, parcel.body, parcel.headers, parcel.timeout_s)
    except (Refused, Unreachable) as error:
        return Outcome(error=_words(error))
    return Outcome(
        status=reply.status,
        excerpt=reply.body[:EXCERPT_BYTES].decode(errors="replace"),
        latency_s=reply.latency_s,
        retry_after_s=_retry_after(reply),
    )


def _words(error: DomainError) -> str:
    return f"{error.title}: {error.detail}"


def _retry_after(reply: Reply) -> float | None:
    """Seconds; the form with a date is not worth its parser."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [SENDER_LOCK])
        leads = bool((cursor.fetchone() or (False,))[0])
    try:
        yield leads
    finally:
        if leads:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SENDER_LOCK])
