"""Readiness probes: each raises NotReady with the reason, or returns."""

import http.client
import socket
from collections.abc import Callable

import psycopg
import redis

from embedded.errors import NotReady

Probe = Callable[[], None]

PROBE_TIMEOUT_S = 2.0


def alive() -> None:
    """For a process that cannot be asked: ready once it has survived `settle_seconds`."""


def all_of(*probes: Probe) -> Probe:
    """Ready when each of them is."""

    def probe() -> None:
        for one in probes:
            one()

    return probe


def http_probe(*, port: int, path: str, accept: frozenset[int] = frozenset({200})) -> Probe:
    """Ready when `GET path` on loopback answers with one of the accepted statuses."""

    def probe() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Host": "127.0.0.1"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise NotReady(f"http://127.0.0.1:{port}{path}: {error}") from error
        finally:
            connection.close()
        if status not in accept:
            raise NotReady(f"http://127.0.0.1:{port}{path} answered {status}")

    return probe


def tcp_probe(*, port: int) -> Probe:
    """Ready when something on loopback accepts a connection."""

    def probe() -> None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S).close()
        except OSError as error:
            raise NotReady(f"127.0.0.1:{port}: {error}") from error

    return probe


def postgres_probe(*, url: str) -> Probe:
    """Ready when a connection with these credentials answers a query."""

    def probe() -> None:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise NotReady(str(error).strip()) from error

    return probe


def redis_probe(*, url: str) -> Probe:
    """Ready when PING is answered (the append-only file has been read by then)."""

    def probe() -> None:
        client = redis.Redis.from_url(url, socket_timeout=PROBE_TIMEOUT_S)
        try:
            client.ping()
        except redis.RedisError as error:
            raise NotReady(str(error)) from error
        finally:
            client.close()

    return probe
