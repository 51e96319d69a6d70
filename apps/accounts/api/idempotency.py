"""POSTs that may be sent again, and those whose end is to be waited for.

`Idempotency-Key` makes the answer of the second the answer of the first. An answer 202 carries in
`Location` what to poll.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.access import Principal
from apps.accounts.models import IdempotencyKey
from apps.events.errors import Conflict, Invalid

HEADER = "Idempotency-Key"
LONGEST_LOCATION = 500
KEPT_FOR = timedelta(days=1)
# A first request that never ended (its process died) blocks its key no longer than this.
ABANDONED_AFTER = timedelta(minutes=10)


class KeyReused(Invalid):
    """The same key came with another body."""

    code = "idempotency-key-reused"
    title = "Idempotency key reused"


class FirstStillRunning(Conflict):
    """The first request with this key has not ended."""

    code = "idempotency-key-in-use"


class Replayed(Exception):
    """Carries the first request's answer past the view; not an error."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("replayed")
        self.response = response


@dataclass(frozen=True)
class Claim:
    """A key that this request holds until it is settled or released."""

    pk: int

    def settle(self, response: Response, *, keep_body: bool) -> None:
        """Keep the rendered answer for whoever sends the same request again."""
        IdempotencyKey.objects.filter(pk=self.pk).update(
            status=response.status_code,
            content_type=response.headers.get("Content-Type", "")[:100],
            body=response.content if keep_body else None,
            location=response.headers.get("Location", "")[:LONGEST_LOCATION],
        )

    def release(self) -> None:
        """Forget a request that changed nothing, so that it may be sent again."""
        IdempotencyKey.objects.filter(pk=self.pk).delete()


def claim(request: Request, principal: Principal, key: str, *, now: datetime) -> Claim:
    """Take the key for this request.

    Raises Replayed with the first answer, KeyReused (422) when the body differs, and
    FirstStillRunning (409) while the first request runs.
    """
    if len(key) > 200:
        raise Invalid(f"{HEADER} is longer than 200 characters")
    identity = {"principal_key": principal.key, "route": request.path[:300], "key": key}
    digest = hashlib.sha256(request._request.body).hexdigest()
    _forget_old(principal, now)
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(**identity, body_digest=digest, claimed_at=now)
    except IntegrityError:
        _answer_again(IdempotencyKey.objects.filter(**identity).first(), digest)
    return Claim(row.pk)


def _forget_old(principal: Principal, now: datetime) -> None:
    abandoned = Q(status__isnull=True, claimed_at__lt=now - ABANDONED_AFTER)
    old = Q(claimed_at__lt=now - KEPT_FOR) | abandoned
    IdempotencyKey.objects.filter(old, principal_key=principal.key).delete()


def _answer_again(row: IdempotencyKey | None, digest: str) -> NoReturn:
    if row is not None and row.body_digest != digest:
        raise KeyReused(f"this {HEADER} came with another body before: take a new key")
    if row is None or row.status is None:  # or it was refused just now and may be tried again
        raise FirstStillRunning("the first request with this key is still running")
    if row.body is None:
        raise Conflict("this was done; its answer held a secret that is shown once")
    response = HttpResponse(bytes(row.body), status=row.status, content_type=row.content_type)
    response["Idempotent-Replay"] = "true"
    if row.location:
        response["Location"] = row.location
    raise Replayed(response)


def _point_to(response: Response, route: str, field: str) -> None:
    """Say where to look for the end of what was begun; a replayed answer says so already."""
    if "Location" not in response.headers:
        response.headers["Location"] = reverse(route, args=[response.data[field]])


class IdempotentPosts(APIView):
    """Honours Idempotency-Key on POST; `keeps_answers = False` where answers hold secrets.

    `polls` names the route and the field of an answer 202 that make up its Location; a view that
    sets the header itself needs none.
    """

    keeps_answers: ClassVar[bool] = True
    polls: ClassVar[tuple[str, str] | None] = None
    _claim: Claim | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authentication and permission: claim the key, or answer again."""
        super().initial(request, *args, **kwargs)
        key = request.headers.get(HEADER, "")
        if request.method == "POST" and key and isinstance(request.auth, Principal):
            self._claim = claim(request, request.auth, key, now=timezone.now())

    def handle_exception(self, exc: Exception) -> Response:
        """Let a replayed answer through; release the key when the view broke."""
        if isinstance(exc, Replayed):
            return exc.response  # type: ignore[return-value]  # DRF finalises any HttpResponse
        with ExitStack() as broken:
            broken.callback(self._release)
            answer = super().handle_exception(exc)
            broken.pop_all()
        return answer

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Keep the answer of a request that did something; refusals may be tried again."""
        final = super().finalize_response(request, response, *args, **kwargs)
        if self.polls is not None and final.status_code == HTTPStatus.ACCEPTED:
            _point_to(final, *self.polls)
        taken = self._claim
        if taken is None:
            return final
        if final.status_code >= HTTPStatus.BAD_REQUEST:
            self._release()
        else:
            final.add_post_render_callback(partial(taken.settle, keep_body=self.keeps_answers))
        return final

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None
