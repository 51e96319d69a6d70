"""Single-row predictions a second through the gateway, beside Triton asked directly.

Everything is on at the gateway: authentication, validation, an 80/20 split over two versions,
counters, exposures, sampled records on disk, the recorder shipping them to Valkey. Both sides
share the machine with the load generator, run in turn, and the figure is the median of the ratios;
so with FastAPI over onnxruntime. Half load is half of the rate just measured; what the gateway
adds to a single request is measured on one connection.
The gateway is one process unless told otherwise and Triton several: on a machine that is busy with
other things the scheduler favours Triton, so the load average at the start is printed with the
figures.

    python -m benchmarks.gateway [--seconds 5] [--pairs 3] [--processes 1] [--grpc]
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import replace

import psutil

from benchmarks import rig
from benchmarks.load import Load, Result, generator, run
from benchmarks.peers import compare, find, report_peer

USERS = 64


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--grpc", action="store_true", help="call Triton by gRPC, not by HTTP")
    options = parser.parse_args()
    site = rig.Rig()
    site.environment["GATEWAY_PROCESSES"] = str(options.processes)
    try:
        prepare(site, address=site.grpc_address if options.grpc else site.address)
        peak = measure(site, seconds=options.seconds, pairs=options.pairs)
        measure_half_load(site, peak, seconds=options.seconds, runs=options.pairs)
        measure_added_latency(site, seconds=options.seconds, pairs=options.pairs)
        measure_fastapi(site, seconds=options.seconds, rounds=options.pairs)
    finally:
        site.stop()


def prepare(site: rig.Rig, *, address: str = "") -> None:
    """Two loaded versions, split 80/20, and a gateway that serves them and calls `address`."""
    site.start()
    for number in (1, 2):
        rig.install_model(site.environment, number, bias=float(number))
    address = address or site.address
    variants = [
        rig.variant(1, address),
        rig.variant(2, address, key="canary", role="canary"),
    ]
    site.publisher.publish(
        rig.endpoint(variants, {"stable": 8_000, "canary": 2_000}, rollout="bench")
    )
    site.start_gateway()


def measure(site: rig.Rig, *, seconds: float, pairs: int) -> float:
    """Run the pairs and print the medians; the gateway's requests a second."""
    gateway_load, triton_load = through_gateway(site, seconds), direct(site, seconds)
    load_average = round(os.getloadavg()[0], 2)
    for load in (gateway_load, triton_load):
        run(Load(load.url, load.bodies, load.authorization, seconds=1.0))
    found: list[tuple[Result, Result]] = []
    cpu: list[float] = []
    for _ in range(pairs):
        beside = run(triton_load)
        spent = _cpu_seconds(site)
        ours = run(gateway_load)
        cpu.append((_cpu_seconds(site) - spent) / (ours.requests_per_second * seconds) * 1e6)
        found.append((ours, beside))
        time.sleep(0.5)
    report(found, cpu, load_average=load_average)
    return _median([ours.requests_per_second for ours, _ in found])


def measure_half_load(site: rig.Rig, peak: float, *, seconds: float, runs: int) -> None:
    """Latency with half of the requests that the gateway can answer."""
    load = replace(through_gateway(site, seconds), rate=peak / 2)
    found = [run(load) for _ in range(runs)]
    print(f"gateway_half_load_rps={_median([each.requests_per_second for each in found])}")
    print(f"gateway_p99_half_load_ms={_median([each.p99_ms for each in found])}", flush=True)


def measure_added_latency(site: rig.Rig, *, seconds: float, pairs: int) -> None:
    """What a request costs more than at Triton itself, one at a time."""
    ours, beside = (
        replace(load, connections=1)
        for load in (through_gateway(site, seconds), direct(site, seconds))
    )
    pairs_found = [(run(ours).p50_ms, run(beside).p50_ms) for _ in range(pairs)]
    print(f"triton_http_p50_ms={_median([theirs for _, theirs in pairs_found])}")
    added = _median([mine - theirs for mine, theirs in pairs_found])
    print(f"gateway_added_p50_ms={added}", flush=True)


def measure_fastapi(site: rig.Rig, *, seconds: float, rounds: int) -> None:
    """The same model behind a FastAPI application."""
    fastapi, ours = find("fastapi"), through_gateway(site, seconds)
    report_peer("fastapi", compare(site, fastapi, ours, seconds=seconds, rounds=rounds))


def report(found: list[tuple[Result, Result]], cpu: list[float], *, load_average: float) -> None:
    """The figures, one a line."""
    figures = {
        "load_generator": generator(),
        "load_average_at_start": load_average,
        "gateway_rps": _median([ours.requests_per_second for ours, _ in found]),
        "gateway_p50_ms": _median([ours.p50_ms for ours, _ in found]),
        "gateway_p99_ms": _median([ours.p99_ms for ours, _ in found]),
        "gateway_errors": sum(ours.errors for ours, _ in found),
        "gateway_cpu_us_per_request": _median(cpu),
        "triton_http_rps": _median([beside.requests_per_second for _, beside in found]),
        "triton_http_errors": sum(beside.errors for _, beside in found),
        "gateway_vs_triton_http": _median(
            [ours.requests_per_second / beside.requests_per_second for ours, beside in found]
        ),
    }
    for name, value in figures.items():
        print(f"{name}={value}", flush=True)


def through_gateway(site: rig.Rig, seconds: float) -> Load:
    """Single rows of many users."""
    bodies = tuple(
        json.dumps({"model": "rig", "features": rig.example(), "user_id": f"user-{number}"})
        for number in range(USERS)
    )
    url = f"http://127.0.0.1:{site.port}/v1/predict"
    return Load(url, bodies, f"Bearer {rig.CLIENT_KEY}", seconds=seconds)


def direct(site: rig.Rig, seconds: float) -> Load:
    """The same row as Triton's own JSON."""
    example = rig.example()
    tensors = [
        _tensor("numeric", "FP32", [example[name] for name in rig.NUMBERS]),
        _tensor("code", "INT64", [example["code"]]),
    ]
    url = f"http://127.0.0.1:{site.triton_port}/v2/models/rig-v1/infer"
    return Load(url, (json.dumps({"inputs": tensors}),), seconds=seconds)


def _tensor(name: str, datatype: str, data: list[float]) -> dict[str, object]:
    return {"name": name, "shape": [1, len(data)], "datatype": datatype, "data": data}


def _cpu_seconds(site: rig.Rig) -> float:
    """Processor time of the gateway's processes so far."""
    parent = psutil.Process(site.running[0].pid)
    times = [each.cpu_times() for each in (parent, *parent.children())]
    return float(sum(each.user + each.system for each in times))


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
