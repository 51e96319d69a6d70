"""Webhook checks: called by a worker, tried again with back-off, answered now or later."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.accounts.access import system
from apps.registry.checks import CheckResult
from apps.registry.checks.hooks import Called, call, hook_of, read_answer
from apps.registry.errors import NotFound, RequestClosed
from apps.registry.models import CheckHook, CheckRun, CheckState
from apps.registry.policy import Verdict
from apps.registry.promotion import RequestState
from apps.registry.services.checking import enqueue_checks, freeze_if_complete, write_result
from apps.registry.services.recording import record_promotion
from apps.registry.services.staging import lock_version

log = structlog.get_logger(__name__)
CHECKER = system("checks")
MARGIN = timedelta(seconds=30)
BACK_OFF_S = (5, 30, 120)
NO_HOOK = CheckResult(Verdict.ERROR, "no webhook of that name is in use")
SILENT = CheckResult(Verdict.INCONCLUSIVE, "the service did not call back in time")
DIED = CheckResult(Verdict.ERROR, "its worker broke off, again and again")


def run_checks(*, request_id: UUID) -> int:
    """Make the webhook checks of a request that are due; how many."""
    made = 0
    now = timezone.now()
    due = CheckRun.objects.filter(request=request_id, state=CheckState.QUEUED.value)
    for pk in list(due.values_list("pk", flat=True)):
        made += _make(pk, now=now)
    return made


def resume_checks(*, now: datetime) -> int:
    """Enqueue checks whose time has come, and give those up that nobody answers; how many."""
    due = CheckRun.objects.due(now=now).filter(request__state=RequestState.REQUESTED.value)
    waiting = list(due.filter(state=CheckState.WAITING.value)[:100])
    for run in waiting:
        _settle(run.pk, SILENT, state=CheckState.WAITING, attempts=run.attempts)
    dead = due.filter(state=CheckState.RUNNING.value)
    dead.update(state=CheckState.QUEUED.value)
    requests = {str(pk) for pk in due.values_list("request", flat=True)[:100]}
    for request_id in requests:
        enqueue_checks(request_id)
    return len(waiting) + len(requests)


def _make(pk: UUID, *, now: datetime) -> int:
    run = _claim(pk, now=now)
    if run is None:
        return 0
    hook = hook_of(run.name)
    if hook is None:
        _settle(run.pk, NO_HOOK, state=CheckState.RUNNING, attempts=run.attempts)
    elif run.attempts > hook.attempts:
        _settle(run.pk, DIED, state=CheckState.RUNNING, attempts=run.attempts)
    else:
        _call(hook, run, now=now)
    return 1


def _claim(pk: UUID, *, now: datetime) -> CheckRun | None:
    """Take the check for a minute and a half at most; None when another worker has it."""
    lease = now + timedelta(seconds=60) + MARGIN
    free = CheckRun.objects.filter(pk=pk, state=CheckState.QUEUED.value)
    # Asked for just now, or its back-off is over.
    ready = Q(attempts=0) | Q(due_at__lte=now)
    taken = free.filter(ready, request__state=RequestState.REQUESTED.value).update(
        state=CheckState.RUNNING.value,
        attempts=F("attempts") + 1,
        due_at=lease,
        started_at=now,
    )
    if not taken:
        return None
    rows = CheckRun.objects.select_related("request__version__model__team")
    return rows.get(pk=pk)


def _call(hook: CheckHook, run: CheckRun, *, now: datetime) -> None:
    token = secrets.token_urlsafe(32)
    # Before the call: a fast service may call back before its 202 has been read.
    mine = CheckRun.objects.filter(pk=run.pk, attempts=run.attempts, state=CheckState.RUNNING.value)
    mine.update(callback_digest=token_digest(token))
    url = f"{settings.CONFIG.web_url}/callbacks/checks/{token}"
    called = call(hook, run, callback_url=url, timestamp=int(now.timestamp()))
    log.info("check.called", check=run.name, id=str(run.pk), attempt=run.attempts)
    if called.result is None:
        until = now + timedelta(hours=hook.callback_h)
        mine.update(state=CheckState.WAITING.value, due_at=until)
    elif called.again and run.attempts < hook.attempts:
        _postpone(run, called, now=now)
    else:
        _settle(run.pk, called.result, state=CheckState.RUNNING, attempts=run.attempts)


def _postpone(run: CheckRun, called: Called, *, now: datetime) -> None:
    wait = BACK_OFF_S[min(run.attempts, len(BACK_OFF_S)) - 1]
    said = called.result.detail if called.result else ""
    CheckRun.objects.filter(
        pk=run.pk, attempts=run.attempts, state=CheckState.RUNNING.value
    ).update(
        state=CheckState.QUEUED.value,
        due_at=now + timedelta(seconds=wait),
        detail=f"{said}; another try follows",
        callback_digest="",
    )


@transaction.atomic
def _settle(pk: UUID, result: CheckResult, *, state: CheckState, attempts: int) -> bool:
    """Write a verdict if the check is still as it was seen; freeze the evidence with the last."""
    run = CheckRun.objects.select_related("request__version").get(pk=pk)
    version = lock_version(run.request.version)
    run.refresh_from_db()
    request = run.request
    request.version = version
    request.refresh_from_db(fields=["state", "evidence", "evidence_digest", "frozen_at"])
    is_open = request.state == RequestState.REQUESTED
    if not is_open or (run.state, run.attempts) != (state.value, attempts):
        log.warning("check.superseded", id=str(pk))
        return False
    now = timezone.now()
    write_result(run, result, now=now)
    frozen = freeze_if_complete(request, now=now)
    record_promotion(
        CHECKER,
        "promotion.check_finished",
        request,
        result.detail,
        check=run.name,
        verdict=result.verdict.value,
        complete=frozen,
    )
    return True


def answer_callback(*, token: str, body: bytes) -> CheckRun:
    """Take the answer of a service that said 202; the token is its permission, and good once.

    Raises NotFound for a token that is not waited for, BadAnswer, or RequestClosed.
    """
    waits = (CheckState.WAITING.value, CheckState.RUNNING.value)
    run = CheckRun.objects.filter(callback_digest=token_digest(token), state__in=waits).first()
    if run is None:
        raise NotFound("nobody waits for this answer")
    result = read_answer(body)
    if not _settle(run.pk, result, state=CheckState(run.state), attempts=run.attempts):
        raise RequestClosed("the request was decided, or the check was made again")
    run.refresh_from_db()
    return run


def token_digest(token: str) -> str:
    """What is kept of a callback's token: SHA-256 hex."""
    return sha256(token.encode()).hexdigest()
