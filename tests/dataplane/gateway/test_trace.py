"""The caller's trace goes on to Triton and into the record."""

from dataclasses import dataclass

import hpack
import pytest

from benchmarks import rig
from dataplane.gateway import http2
from dataplane.gateway.inference import Headers
from dataplane.gateway.trace import Trace, of_batch, read
from tests.dataplane.gateway.site import Site, eventually

ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{ID}-b7ad6b7169203331-00"


def parsed(parent: str, state: str = "") -> Trace | None:
    return read({b"traceparent": parent.encode(), b"tracestate": state.encode()})


def decoded(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def test_context__valid__is_passed_on_as_it_came() -> None:
    state = "congo=" + "t" * 300
    trace = parsed(PARENT, state)
    assert trace is not None
    assert (trace.id, trace.sampled) == (ID, True)
    assert decoded(trace.headers) == {"traceparent": PARENT, "tracestate": state}


@pytest.mark.parametrize("parent", [PARENT.replace("00-", "cc-", 1) + "-what-may-come", UNSAMPLED])
def test_context__of_a_later_version_or_not_sampled__is_valid(parent: str) -> None:
    assert parsed(parent) is not None


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "nonsense",
        PARENT.upper(),
        PARENT + "-more",
        f"ff-{ID}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{ID}-{'0' * 16}-01",
        f"{PARENT},{PARENT}",
    ],
)
def test_context__not_by_the_specification__is_ignored(parent: str) -> None:
    assert parsed(parent) is None


@pytest.mark.parametrize("state", ["x" * 513, "a=\r\n"])
def test_state__not_by_the_specification__is_left_out(state: str) -> None:
    trace = parsed(PARENT, state)
    assert trace is not None
    assert decoded(trace.headers) == {"traceparent": PARENT}


@dataclass
class Asked:
    trace: Trace | None


def test_batch__several_contexts__carries_the_first_that_is_sampled() -> None:
    none, first, sampled = Asked(None), Asked(parsed(UNSAMPLED)), Asked(parsed(PARENT))
    assert of_batch([none, none]) == ()
    assert decoded(of_batch([none, first])) == {"traceparent": UNSAMPLED}
    assert decoded(of_batch([none, first, sampled])) == {"traceparent": PARENT}


def test_headers__in_a_header_block__are_read_by_any_decoder() -> None:
    trace = parsed(PARENT, "congo=t61rcWkgMzE")
    assert trace is not None
    block = http2.request_block("/x", "localhost") + http2.timeout_header(1)
    block += b"".join(http2.header(*each) for each in trace.headers)
    found = {str(name): str(value) for name, value in hpack.Decoder().decode(block)}
    assert (found["traceparent"], found[":path"]) == (PARENT, "/x")


def test_request__with_a_context__is_answered_and_recorded_with_its_trace(site: Site) -> None:
    site.serve(site.endpoint(sample_rate=1.0))
    body = {"model": "rig", "features": rig.example()}
    for headers in ({"traceparent": PARENT, "tracestate": "a=b"}, {"traceparent": "nonsense"}, {}):
        assert site.post("/v1/predict", body, **headers).status == 200

    def traces() -> list[str]:
        return sorted(record.trace for batch in site.batches() for record in batch.records)

    eventually(lambda: traces() == ["", "", ID])
