"""Judging where a call would go, and making it."""

import ipaddress
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, SimpleQueue

from django.conf import settings

from apps.notices.outbound.policy import Address, Policy, Target, parse_url
from apps.notices.outbound.wire import MOST_BYTES, Unreachable, exchange, request, words

CHECK_S = 5.0
Answers = SimpleQueue[list[str] | Exception]


@dataclass(frozen=True)
class Reply:
    """What came back, whatever its status; a redirect is an answer, not an instruction.

    `body` is at most 64 KiB; `truncated` says that there was more. Header names are in lower
    case. `latency_s` counts from the resolving of the name to the last byte read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    latency_s: float

    @property
    def taken(self) -> bool:
        """Whether the receiver says that all is well (2xx)."""
        return 200 <= self.status < 300


def deliver(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float,
    *,
    policy: Policy | None = None,
) -> Reply:
    """POST `body` to `url` within `timeout` seconds, everything included.

    `policy` is the operator's (settings OUTBOUND_…) unless given. Raises Refused (the address may
    not be called, or the headers are none) and Unreachable (another try may help).
    """
    started = time.monotonic()
    target = parse_url(url)
    sent = request(target, body, headers)
    addresses = _judged(target, policy or configured(), started + timeout)
    status, received, content = exchange(
        target,
        addresses,
        sent,
        deadline=started + timeout,
        ca_file=settings.CONFIG.outbound_ca_file,
    )
    return Reply(
        status=status,
        headers=received,
        body=content[:MOST_BYTES],
        truncated=len(content) > MOST_BYTES,
        latency_s=time.monotonic() - started,
    )


def check(url: str, *, policy: Policy | None = None) -> None:
    """Judge an address that somebody wants to keep; every call judges it again.

    Raises Refused. A name that does not resolve now is no fault of the address.
    """
    target = parse_url(url)
    try:
        _judged(target, policy or configured(), time.monotonic() + CHECK_S)
    except Unreachable:
        return


def addresses_of(url: str, *, timeout: float = CHECK_S) -> list[Address]:
    """The addresses that may be connected to for this URL, for callers with a wire of their own.

    They connect to these and to no others. Raises Refused and Unreachable.
    """
    return _judged(parse_url(url), configured(), time.monotonic() + timeout)


def configured() -> Policy:
    """The operator's policy, from OUTBOUND_ALLOW and OUTBOUND_PORTS."""
    return _policy(settings.CONFIG.outbound_allow, settings.CONFIG.outbound_ports)


@lru_cache(maxsize=8)
def _policy(allowed: str, ports: str) -> Policy:
    return Policy.parse(allowed, ports)


def _judged(target: Target, policy: Policy, deadline: float) -> list[Address]:
    """The addresses to connect to. One bad address among several refuses them all."""
    found = [ipaddress.ip_address(text) for text in _resolved(target, deadline)]
    for address in found:
        policy.judge(target, address)
    return found


def _resolved(target: Target, deadline: float) -> list[str]:
    """Addresses of the host, in the resolver's order, at least one. Raises Unreachable.

    The system's resolver takes no time-out, so it runs beside us and is left behind when late.
    """
    answers: Answers = SimpleQueue()
    threading.Thread(target=_look_up, args=(target, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty as error:
        raise Unreachable(f"{target.host} did not resolve in time") from error
    if isinstance(answer, Exception):
        raise Unreachable(f"{target.host} does not resolve: {words(answer)}") from answer
    return answer


def _look_up(target: Target, answers: Answers) -> None:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        answers.put(error)
    else:
        answers.put([str(address[0]) for *_, address in found])
