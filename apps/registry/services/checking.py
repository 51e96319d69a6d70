"""Checks of a request: made, made again, answered by others, let go; and the evidence frozen.

What only reads is looked at when the request is made. A webhook's check is made by a worker, which
holds it by `due_at` and a fencing number (`attempts`), or is answered later with a token. When the
last one has a verdict the evidence is frozen; approvals of other evidence are void.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.registry.checks import CheckContext, CheckResult, named, run_guarded
from apps.registry.checks.examined import examined
from apps.registry.checks.hooks import PREFIX, hook_of
from apps.registry.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotWaivable,
    RequestClosed,
)
from apps.registry.evidence import incumbent, with_checks
from apps.registry.models import (
    CheckRun,
    CheckState,
    PromotionRequest,
    Validation,
    digest_of,
)
from apps.registry.policy import EXAMINATION, CheckRule, Verdict, waivable
from apps.registry.promotion import RequestState
from apps.registry.services.deciding import require_decider
from apps.registry.services.recording import record_promotion
from apps.registry.services.staging import lock_version

log = structlog.get_logger(__name__)
TASK = "apps.registry.tasks.run_checks"
CHECKER = system("checks")
QUEUE_GRACE = timedelta(seconds=30)
EXAMINED_LINK = "/api/v1/validations/"


def begin_checks(request: PromotionRequest, *, validation: Validation, now: datetime) -> None:
    """Make every check that the request's terms name; runs in the caller's transaction."""
    policy = request.policy()
    for one in examined(validation, policy):
        row = CheckRun(request=request, name=one.name, title=one.title, required=one.required)
        write_result(row, one.result, now=now)
    seen = {EXAMINATION, *request.checks.values_list("name", flat=True)}
    for name, rule in policy.checks.items():
        if name not in seen:
            _begin(request, name, rule, now=now)
    if not freeze_if_complete(request, now=now):
        _enqueue_later(request)


def _begin(request: PromotionRequest, name: str, rule: CheckRule, *, now: datetime) -> None:
    row = CheckRun(request=request, name=name, title=name, required=rule.required)
    if name.startswith(PREFIX):
        hook = hook_of(name)
        row.title = hook.title if hook else name
        row.due_at = now + QUEUE_GRACE
        row.save(force_insert=True)
        return
    check = named(name)
    if check is None:
        if rule.required:
            missing = "this installation has no check of that name"
            write_result(row, CheckResult(Verdict.ERROR, missing), now=now)
        return
    row.title = check.title
    context = _context(request, rule, now=now)
    if check.applies_to(context):
        write_result(row, run_guarded(check, context), now=now)


def _context(request: PromotionRequest, rule: CheckRule, *, now: datetime) -> CheckContext:
    return CheckContext(
        version=request.version,
        incumbent=incumbent(request.version),
        stage=request.target_stage,
        settings=rule.settings,
        now=now,
    )


def write_result(row: CheckRun, result: CheckResult, *, now: datetime) -> None:
    """A verdict, whatever was there; a waiver of an older one is gone."""
    row.state, row.verdict = CheckState.DONE.value, result.verdict.value
    row.detail, row.figures, row.link = result.detail, dict(result.figures), result.link
    row.started_at, row.finished_at, row.due_at = row.started_at or now, now, now
    row.callback_digest, row.waived_by, row.waiver_reason, row.waived_at = "", "", "", None
    row.save()


def freeze_if_complete(request: PromotionRequest, *, now: datetime) -> bool:
    """Freeze the evidence once every check has a verdict; whether it is frozen.

    Approvals of other evidence are void. Runs under the version's lock.
    """
    if request.checks.unfinished().exists():
        return False
    evidence = with_checks(request.evidence, request.checks.all())
    request.evidence, request.evidence_digest = evidence, digest_of(evidence)
    request.frozen_at = now
    request.save(update_fields=["evidence", "evidence_digest", "frozen_at"])
    stale = request.approvals.filter(voided_at__isnull=True).exclude(digest=request.signed_digest())
    stale.update(voided_at=now)
    return True


def _enqueue_later(request: PromotionRequest) -> None:
    transaction.on_commit(partial(enqueue_checks, str(request.pk)), robust=True)


def enqueue_checks(request_id: str) -> None:
    """Without a retry: a queue that is away is caught up with by `resume_checks`."""
    current_app.send_task(
        TASK, kwargs={"id": request_id}, queue="default", retry=False, ignore_result=True
    )


def rerun_checks(
    *, actor: Principal, request: PromotionRequest, names: Iterable[str] | None = None
) -> PromotionRequest:
    """Make checks again: those named, or all. The evidence is frozen anew, approvals are void.

    Raises PermissionDenied, RequestClosed, NotFound for a name that the request has no check of,
    or Conflict for one of the examination: validate the version again and ask anew.
    """
    authorise(actor, Permission.VALIDATE, team_key=request.version.model.team.key)
    now = timezone.now()
    with transaction.atomic():
        lock_open(request)
        rows = _named_rows(request, names)
        for row in rows:
            _begin_again(request, row, now=now)
        if not freeze_if_complete(request, now=now):
            _enqueue_later(request)
        record_promotion(
            actor, "promotion.checks_rerun", request, checks=[row.name for row in rows]
        )
    return request


def _named_rows(request: PromotionRequest, names: Iterable[str] | None) -> list[CheckRun]:
    rows = {row.name: row for row in request.checks.all()}
    if names is None:
        return [row for row in rows.values() if not row.link.startswith(EXAMINED_LINK)]
    wanted = list(names)
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise NotFound(f"the request has no check {missing[0]!r}", field="checks")
    for name in wanted:
        if rows[name].link.startswith(EXAMINED_LINK):
            raise Conflict(
                f"{name} is of the validation: validate the version again and ask anew",
                field="checks",
            )
    return [rows[name] for name in wanted]


def _begin_again(request: PromotionRequest, row: CheckRun, *, now: datetime) -> None:
    rule = request.policy().rule(row.name) or CheckRule(required=row.required)
    request.checks.filter(pk=row.pk).delete()
    thaw(request)
    _begin(request, row.name, rule, now=now)


def thaw(request: PromotionRequest) -> None:
    """The evidence is not complete any more."""
    request.frozen_at = None
    request.save(update_fields=["frozen_at"])


def lock_open(request: PromotionRequest) -> None:
    """Hold the version's row and read the request as it is. Raises RequestClosed."""
    version = lock_version(request.version)
    request.refresh_from_db()
    request.version = version
    if request.state != RequestState.REQUESTED:
        raise RequestClosed(f"this request is {request.state}")


def waive_check(
    *, actor: Principal, request: PromotionRequest, name: str, reason: str
) -> PromotionRequest:
    """Let a check go that could not tell, where the policy allows it. Whoever may sign may.

    The waiver is part of the evidence: approvals of before are void. Raises SelfApproval,
    PermissionDenied, Invalid, RequestClosed, NotFound or NotWaivable.
    """
    if not reason.strip():
        raise Invalid("say why this may go", field="reason")
    require_decider(actor, request, "waiver")
    now = timezone.now()
    with transaction.atomic():
        lock_open(request)
        row = request.checks.filter(name=name).first()
        if row is None:
            raise NotFound(f"the request has no check {name!r}", field="check")
        _require_waivable(request, row)
        row.waived_by, row.waiver_reason, row.waived_at = actor.human_key, reason, now
        row.save(update_fields=["waived_by", "waiver_reason", "waived_at"])
        freeze_if_complete(request, now=now)
        record_promotion(actor, "promotion.check_waived", request, reason, check=name)
    return request


def _require_waivable(request: PromotionRequest, row: CheckRun) -> None:
    rule = request.policy().rule(row.name, examined=row.link.startswith(EXAMINED_LINK))
    verdict = Verdict(row.verdict) if row.verdict else None
    if rule is None or not rule.waivable:
        raise NotWaivable(f"the policy does not let {row.title} be waived", field="check")
    if not waivable(rule, verdict):
        said = verdict.value if verdict else "running"
        raise NotWaivable(f"{row.title} is {said}: only what cannot tell is waived", field="check")
