"""Reads of the feature store: in time, or not at all, against a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from dataplane.gateway.store import Store, Unread, command
from embedded.private import PrivateServices

SOON_S = 5.0
BUDGET_S = 0.01
PAUSE_MS = 400


@pytest.fixture
async def store(services: PrivateServices, redis_client: "redis.Redis") -> AsyncIterator[Store]:
    """Connected."""
    store = Store(services.valkey().url())
    assert await store.ready(SOON_S)
    yield store
    store.close()


async def eventually_read(store: Store, sent: bytes) -> tuple[list[Any], set[str]]:
    """The first reply that comes, and why none came before."""
    reasons: set[str] = set()
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                return await store.read(sent, 1, SOON_S), reasons
            except Unread as unread:
                reasons.add(unread.reason)
                await asyncio.sleep(0.01)


async def test_read__several_commands__replies_in_order(
    store: Store, redis_client: "redis.Redis"
) -> None:
    redis_client.hset("user:ü\r\n1", mapping={"clicks": "3"})
    one = command(b"HMGET", "user:ü\r\n1".encode(), b"clicks", b"none")
    other = command(b"HMGET", b"user:2", b"clicks", b"none")
    assert await store.read(one + other, 2, SOON_S) == [[b"3", None], [None, None]]


async def test_read__server_paused__late_once_and_then_at_once_until_it_is_back(
    store: Store, redis_client: "redis.Redis"
) -> None:
    redis_client.client_pause(PAUSE_MS)
    with pytest.raises(Unread, match="late"):
        await store.read(command(b"HGET", b"a", b"b"), 1, BUDGET_S)
    with pytest.raises(Unread, match="late"):
        await asyncio.wait_for(store.read(command(b"HGET", b"a", b"b"), 1, 60.0), SOON_S)
    assert await eventually_read(store, command(b"ECHO", b"x")) == ([b"x"], {"late"})


async def test_read__nobody_listens__away_at_once(unused_tcp_port: int) -> None:
    store = Store(f"redis://127.0.0.1:{unused_tcp_port}/0")
    assert not await store.ready(0.1)
    with pytest.raises(Unread, match="away"):
        await asyncio.wait_for(store.read(command(b"PING"), 1, 60.0), SOON_S)
    store.close()


async def test_read__wrong_password__is_away(services: PrivateServices) -> None:
    url = services.valkey().url()
    store = Store(url.replace("redis://:", "redis://:wrong"))
    assert not await store.ready(0.2)
    store.close()


async def test_read__connection_dropped__connects_again(
    store: Store, redis_client: "redis.Redis"
) -> None:
    redis_client.client_kill_filter(_type="normal", skipme=True)
    replies, reasons = await eventually_read(store, command(b"PING"))
    assert (replies, reasons) == ([b"PONG"], {"away"})
