"""W3C Trace Context: the caller's `traceparent` and `tracestate`, passed on as they came.

The gateway adds no span of its own: Triton's span becomes a child of the caller's. A batch has
many callers and one call: it carries the context of its first row whose caller samples, else of
its first row that has one. What does not follow the specification is ignored, as it asks.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from dataplane.gateway.inference import Headers

PARENT, STATE = b"traceparent", b"tracestate"
SAMPLED = 0x01
STATE_MAX = 512
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")
_STATE = re.compile(rb"[ -~]*")


class Trace(NamedTuple):
    """A valid context: the trace's id in hex, and the headers that pass it on."""

    id: str
    sampled: bool
    headers: Headers


class Traced(Protocol):
    """What may belong to a trace."""

    trace: Trace | None


def read(given: Mapping[bytes, bytes]) -> Trace | None:
    """The context among headers by lower-case name; None when there is no valid one."""
    parent = given.get(PARENT)
    found = None if parent is None else _PARENT.fullmatch(parent)
    if parent is None or found is None:
        return None
    version, trace, span, flags, more = found.groups()
    beyond = version == b"ff" or (version == b"00" and more is not None)
    if beyond or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    headers = [(PARENT, parent)]
    state = given.get(STATE, b"")
    if 0 < len(state) <= STATE_MAX and _STATE.fullmatch(state):
        headers.append((STATE, state))
    return Trace(trace.decode(), bool(int(flags, 16) & SAMPLED), headers)


def of_batch(rows: Iterable[Traced]) -> Headers:
    """The headers of the one context that a call for these rows carries; empty without any."""
    first: Headers = ()
    for row in rows:
        if row.trace is not None:
            if row.trace.sampled:
                return row.trace.headers
            first = first or row.trace.headers
    return first
