"""Checks that somebody else's service makes: what it is asked, and how its answer is read.

The call is signed as the Standard Webhooks specification says (`apps.notices.signing`), and goes
out through the one guarded way (`apps.notices.outbound`). The service answers 200 with a verdict,
or 202 and calls back with the token that came with the question.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from apps.notices.outbound import Refused, Unreachable, deliver
from apps.notices.signing import headers, unseal
from apps.registry.checks.interface import CheckResult
from apps.registry.models import CheckHook, CheckRun
from apps.registry.policy import Verdict

PREFIX = "hook:"
MOST_FIGURES = 50
ACCEPTED = 202
TRY_AGAIN = frozenset({408, 425, 429})
Scalar = Annotated[str, msgspec.Meta(max_length=500)] | float | int | bool | None


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service says of a version."""

    verdict: Verdict
    detail: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    figures: dict[Annotated[str, msgspec.Meta(max_length=80)], Scalar] = {}
    link: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^(https://\S+)?$")] = ""


class BadAnswer(ValueError):
    """What came back is no answer; `path` is where the fault is."""

    def __init__(self, detail: str, path: str = "$") -> None:
        super().__init__(detail)
        self.path = path


@dataclass(frozen=True)
class Called:
    """What came of a call: a result, or None when the service will call back.

    `again` says that another try may help; the result tells why this one did not.
    """

    result: CheckResult | None
    again: bool = False


def hook_of(name: str) -> CheckHook | None:
    """The hook that policies call `name`, if it is in use."""
    found = CheckHook.objects.filter(name=name.removeprefix(PREFIX), disabled_at__isnull=True)
    return found.first()


def read_answer(body: bytes) -> CheckResult:
    """The result in a JSON answer. Raises BadAnswer."""
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$")
        raise BadAnswer(detail, f"${where.strip('`')}") from error
    except msgspec.DecodeError as error:
        raise BadAnswer(f"is no JSON: {error}") from error
    return _result(answer)


def _result(answer: Answer) -> CheckResult:
    numbers = (value for value in answer.figures.values() if isinstance(value, float))
    if len(answer.figures) > MOST_FIGURES or not all(map(math.isfinite, numbers)):
        raise BadAnswer(f"takes up to {MOST_FIGURES} figures, numbers finite", "$.figures")
    return CheckResult(answer.verdict, answer.detail, answer.figures, answer.link)


def call(hook: CheckHook, run: CheckRun, *, callback_url: str, timestamp: int) -> Called:
    """Ask the service about the request of `run`, once."""
    body = msgspec.json.encode(question(run, callback_url))
    signed = headers(
        message_id=f"{run.pk}.{run.attempts}",
        timestamp=timestamp,
        body=body,
        secrets=[unseal(hook.secret)],
    )
    try:
        reply = deliver(hook.url, body, signed, hook.timeout_s)
    except Refused as error:
        return Called(_broken(f"{hook.title} may not be called: {error}"))
    except Unreachable as error:
        return Called(_broken(f"{hook.title} does not answer: {error}"), again=True)
    if reply.status == ACCEPTED:
        return Called(None)
    if not reply.taken:
        again = reply.status >= 500 or reply.status in TRY_AGAIN
        return Called(_broken(f"{hook.title} answers {reply.status}"), again=again)
    try:
        return Called(read_answer(reply.body))
    except BadAnswer as error:
        return Called(_broken(f"{hook.title}'s answer cannot be read: {error.path} {error}"))


def question(run: CheckRun, callback_url: str) -> dict[str, Any]:
    """What a service is told: the version, its digests and metrics, and where to call back."""
    request = run.request
    version = request.version
    return {
        "check": run.name,
        "request": str(request.pk),
        "model": version.model.name,
        "version": version.number,
        "semantic_version": version.semantic_version,
        "team": version.model.team.key,
        "tier": version.model.tier,
        "stage": request.target_stage,
        "incumbent": request.evidence.get("incumbent"),
        "content_digest": request.digest,
        "artifact_digest": version.artifact_digest,
        "run_id": version.run_id,
        "metrics": version.metrics,
        "settings": _settings(run),
        "callback": callback_url,
    }


def _settings(run: CheckRun) -> dict[str, Any]:
    rule = run.request.policy().rule(run.name)
    return rule.settings if rule else {}


def _broken(detail: str) -> CheckResult:
    return CheckResult(Verdict.ERROR, detail[:2_000])
