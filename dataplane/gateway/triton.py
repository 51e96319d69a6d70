"""Step 5 of the request path: one batched call to Triton."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence

from contracts.records import ErrorKind
from dataplane.gateway import errors
from dataplane.gateway.errors import TritonError
from dataplane.gateway.inference import Form, Headers, Input, Outputs, Request, is_missing
from dataplane.gateway.replicas import Replica
from dataplane.gateway.table import Variant
from serving.validation import Row as Values

_KINDS: Mapping[int, ErrorKind] = {
    errors.DEADLINE_EXCEEDED: "timeout",
    errors.UNAVAILABLE: "unavailable",
    errors.CANCELLED: "unavailable",
    errors.RESOURCE_EXHAUSTED: "unavailable",
}


class CallFailed(Exception):
    """A call without a usable answer, by ErrorKind."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Model:
    """One entry on the Tritons that serve it."""

    def __init__(self, variant: Variant, replicas: Sequence[Replica]) -> None:
        self._spec = variant.spec
        self._schema = variant.schema
        self._replicas = tuple(replicas)
        self._turn = 0
        self._output = variant.spec.schema.output.tensor
        self._forms: dict[int, Form] = {}
        self._loop = asyncio.get_running_loop()

    def infer(
        self, rows: Sequence[Values], seconds: float, headers: Headers = ()
    ) -> Awaitable[bytes]:
        """Send `rows` to the Triton with the fewest outstanding; await the raw output tensor.

        Predictions may be asked for twice: where a Triton goes away under the call, another is
        asked within the same `seconds`, or it itself once more, over a new connection, where
        there is no other. With all of them out it fails at once. Awaiting raises CallFailed.
        """
        request = Request(self._form(len(rows)), self._schema.pack(rows))
        first = self._next(())
        sent = None if first is None else first.infer(request, len(rows), seconds, headers)
        return self._answered(request, len(rows), self._loop.time() + seconds, headers, first, sent)

    async def _answered(
        self,
        request: Request,
        rows: int,
        ends: float,
        headers: Headers,
        replica: Replica | None,
        sent: Awaitable[Outputs] | None,
    ) -> bytes:
        tried: tuple[Replica, ...] = ()
        failure: TritonError | None = None
        while replica is not None and sent is not None:
            try:
                return self._only(await sent)
            except TritonError as error:
                if error.status != errors.UNAVAILABLE:
                    raise _call_failed(error) from error
                failure, tried = error, (*tried, replica)
            seconds = ends - self._loop.time()
            replica = self._next(tried) if seconds > 0 else None
            sent = None if replica is None else replica.infer(request, rows, seconds, headers)
        raise _call_failed(failure or self._all_out())

    def _next(self, tried: tuple[Replica, ...]) -> Replica | None:
        """Of those that serve and were not tried, the least busy; equals take turns."""
        self._turn += 1
        best, count = None, len(self._replicas)
        for number in range(count):
            each = self._replicas[(self._turn + number) % count]
            if each.health.state != "serving" or each in tried:
                continue
            if best is None or each.channel.rows < best.channel.rows:
                best = each
        return tried[0] if best is None and len(tried) == 1 else best

    def _all_out(self) -> TritonError:
        """No replica serves: the version's own fault where all of them say that it is not there."""
        if all(each.missing for each in self._replicas):
            missing = f"unknown model: {self._spec.entry} is not loaded"
            return TritonError(errors.UNAVAILABLE, missing)
        return TritonError(errors.UNAVAILABLE, f"no replica of {self._spec.entry} answers")

    def _form(self, count: int) -> Form:
        form = self._forms.get(count)
        if form is None:
            inputs = [
                Input(each.name, each.datatype, (count, len(each.features)))
                for each in self._spec.schema.tensors
            ]
            form = self._forms[count] = Form(self._spec.entry, inputs, [self._output])
        return form

    def _only(self, outputs: Outputs) -> bytes:
        output = outputs.get(self._output)
        if output is None or len(outputs) != 1:
            raise CallFailed("invalid_output", f"{len(outputs)} output tensors instead of one")
        return output


def _call_failed(error: TritonError) -> CallFailed:
    """Blame: a Triton that cannot be reached is not the model's fault, an unloaded entry is."""
    kind = _KINDS.get(error.status, "model")
    if kind == "unavailable" and is_missing(error.detail):
        kind = "model"
    return CallFailed(kind, error.detail)
