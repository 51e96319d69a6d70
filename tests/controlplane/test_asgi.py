"""The web process as it runs: under ASGI, with its asynchronous middleware."""

from typing import Any

import httpx
import pytest
from django.conf import settings

from controlplane.asgi import application
from controlplane.body_limit import BodyLimit


async def get(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/api/v1/nothing", 404)])
async def test_asgi__answer__has_its_id_and_policy(path: str, status: int) -> None:
    answer = await get(path)
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_asgi__unknown_api_address__problem() -> None:
    answer = await get("/api/v1/nothing")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:switchyard:problem:not-found"


async def post(body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post("/api/v1/teams", content=body)


async def test_asgi__body_that_says_it_is_too_large__413_problem() -> None:
    answer = await post(bytes(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:switchyard:problem:too-large"


async def test_body_limit__body_without_a_length_grows_too_large__cut_off() -> None:
    seen: list[str] = []

    async def reader(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message["type"])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    limited = BodyLimit(reader, limit=12)
    await limited({"type": "http", "headers": []}, receive, None)  # type: ignore[arg-type]  # what the limit reads
    assert len(seen) == 2
