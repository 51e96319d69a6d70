"""How much a client may ask, and how long it says that it will wait."""

import math
from collections.abc import Iterable, Mapping, MutableMapping

from contracts.routing import Client
from dataplane.gateway.problems import Refusal, at

TIMEOUT_HEADER = b"x-request-timeout-ms"


class RateLimits:
    """Token buckets by client, as the one number each needs: when it would be full again.

    A row costs one token, at `requests_per_second`; the bucket holds `burst`. A list is let in
    while any token is left and may overdraw: the client then waits the longer. Constant cost.
    (GCRA, the virtual scheduling of ITU-T I.371.) `full_at` holds the numbers: a mapping of this
    process's own, or one that the processes on a port share.
    """

    def __init__(self, full_at: MutableMapping[str, float] | None = None) -> None:
        self._full_at: MutableMapping[str, float] = {} if full_at is None else full_at

    def admit(self, client: Client, now: float) -> None:
        """Take one token; `now` in monotonic seconds. Raises Refusal 429."""
        rate = client.requests_per_second
        burst = client.burst or max(rate, 1.0)
        full_at = max(self._full_at.get(client.name, 0.0), now)
        wait = full_at - now - (burst - 1) / rate
        if wait > 1e-9:
            raise Refusal(
                429,
                "rate_limited",
                "this client asks more often than it may",
                retry_after=max(math.ceil(wait - 1e-6), 1),
            )
        self._full_at[client.name] = full_at + 1 / rate

    def charge(self, client: Client, rows: int) -> None:
        """Take the tokens of further rows of a request that was let in."""
        if client.requests_per_second:
            full_at = self._full_at.get(client.name, 0.0)  # it may have been forgotten meanwhile
            self._full_at[client.name] = full_at + rows / client.requests_per_second

    def keep_only(self, clients: Iterable[str]) -> None:
        """Forget clients that are gone."""
        for name in set(self._full_at) - set(clients):
            del self._full_at[name]


def client_timeout(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds that the client will wait, from `X-Request-Timeout-Ms`; None where it says nothing.

    Raises Refusal 400 for anything but a positive number of milliseconds.
    """
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not text.isdigit() or not 0 < len(text) <= 9 or int(text) == 0:
        raise Refusal(
            400,
            "invalid_timeout",
            "X-Request-Timeout-Ms must be a whole number of milliseconds, at least 1",
            errors=at("$.headers.X-Request-Timeout-Ms", "must be a positive whole number"),
        )
    return int(text) / 1_000
