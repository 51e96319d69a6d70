"""The end of a gateway and the change of its table, under load on connections that are kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from benchmarks import rig
from tests.dataplane.gateway.site import Site, eventually
from tests.dataplane.gateway.test_oip import AUTHORIZED, inputs, spec

BODY = json.dumps({"model": "rig", "features": rig.example(), "user_id": "u"}).encode()
REQUEST = (
    b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %b\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (rig.CLIENT_KEY.encode(), len(BODY), BODY)
)


@dataclass
class Client:
    """Asks on one connection, the next as soon as it is answered, until it is told to close."""

    port: int
    statuses: list[int] = field(default_factory=list)
    unanswered: int = 0
    told_to_close: bool = False

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while not self.told_to_close:
                writer.write(REQUEST)
                self.unanswered += 1
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.split("Content-Length: ")[1].split("\r\n")[0])
                await reader.readexactly(length)
                self.unanswered -= 1
                self.statuses.append(int(head.split()[1]))
                self.told_to_close = "Connection: close" in head
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def load(site: Site, clients: int = 8) -> AsyncIterator[list[Client]]:
    """Clients under way; leaving waits until all of them have ended."""
    found = [Client(site.port) for _ in range(clients)]
    tasks = [asyncio.create_task(client.run()) for client in found]
    await until(lambda: all(len(client.statuses) > 20 for client in found))
    yield found
    await asyncio.gather(*tasks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the load runs on this loop
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("processes", ["1", pytest.param("2", marks=pytest.mark.proof)])
async def test_sigterm__kept_connections_under_load__each_is_answered_and_told_to_close(
    site: Site, processes: str
) -> None:
    site.publisher.publish(site.endpoint())
    site.start(GATEWAY_PROCESSES=processes)
    eventually(lambda: all(site.predict().status == 200 for _ in range(10)), 20)
    async with load(site) as clients:
        assert site.running is not None
        site.running.child.terminate()
    assert all(client.told_to_close for client in clients)
    assert {status for client in clients for status in client.statuses} == {200}
    assert sum(client.unanswered for client in clients) == 0
    assert site.running.child.wait(15) == 0


async def test_leave__balancers_are_given_time__is_unready_and_goes_on_answering(
    site: Site,
) -> None:
    site.serve(GATEWAY_LEAVE_S="30")
    assert site.running is not None
    site.running.child.terminate()
    eventually(lambda: site.get("/readyz").status == 503)
    assert site.predict().status == 200
    site.kill()


async def test_tables__swapped_under_load__no_request_fails(site: Site) -> None:
    site.serve(site.canary(1_000))
    async with load(site) as clients:
        for weight in (3_000, 9_000, 0, 5_000):
            await asyncio.to_thread(site.publish, site.canary(weight, phase=2 + weight))
        assert site.running is not None
        site.running.child.terminate()
    assert {status for client in clients for status in client.statuses} == {200}


async def test_sigterm__grpc_under_load__answers_calls_or_refuses_them_as_unavailable(
    site: Site,
) -> None:
    site.serve(spec(site))
    answered, faults = 0, list[str]()

    async def ask(client: triton.InferenceServerClient) -> None:
        nonlocal answered
        while not faults:
            try:
                await client.infer("rig", inputs(), headers=AUTHORIZED)
            except InferenceServerException as error:
                faults.append(str(error))
            else:
                answered += 1

    async with triton.InferenceServerClient(site.environment["GATEWAY_GRPC_URL"]) as client:
        tasks = [asyncio.create_task(ask(client)) for _ in range(4)]
        await until(lambda: answered > 40)
        assert site.running is not None
        site.running.child.terminate()
        await asyncio.gather(*tasks)
    assert faults
    assert all("StatusCode.UNAVAILABLE" in fault for fault in faults), faults
