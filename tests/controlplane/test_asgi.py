"""The web process as it runs: under ASGI, with its asynchronous middleware."""

import httpx
import pytest

from controlplane.asgi import application


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
