"""What explanations cost predictions: the same moderate load alone, and beside explanations.

Predictions come at a fixed rate; explanations are asked for by a few clients who ask again as soon
as they are answered, so the explainer is never idle. The runs alternate, and the figure is the
median of the ratios of the p99s.

    python -m benchmarks.explain [--seconds 5] [--pairs 5] [--rate 1500]
"""

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx

from benchmarks import rig
from benchmarks.gateway import through_gateway
from benchmarks.load import Load, Result, run
from contracts.routing import Limits

EXPLAINING = 4
PATIENT_MS = 60_000
Pair = tuple[Result, Result, Result]


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1_500.0)
    options = parser.parse_args()
    site = rig.Rig()
    try:
        prepare(site)
        report(measure(site, options.seconds, options.pairs, options.rate))
    finally:
        site.stop()


def prepare(site: rig.Rig) -> None:
    """One loaded version with its explainer, which has read shap already."""
    site.start()
    rig.install_model(site.environment, 1, bias=1.0)
    entry = rig.install_explainer(site.environment, 1, bias=1.0)
    variant = rig.variant(1, site.grpc_address, explainer=entry)
    limits = Limits(explain_deadline_ms=PATIENT_MS)
    site.publisher.publish(rig.endpoint([variant], limits=limits))
    site.start_gateway()
    load = explanations(site, 0.0)
    headers = {"Authorization": load.authorization}
    httpx.post(load.url, content=load.bodies[0], headers=headers, timeout=60).raise_for_status()


def measure(site: rig.Rig, seconds: float, pairs: int, rate: float) -> list[Pair]:
    """Predictions alone, predictions beside explanations, and those explanations."""
    load = replace(through_gateway(site, seconds), rate=rate)
    run(replace(load, seconds=2.0))
    found: list[Pair] = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(pairs):
            alone = run(load)
            explaining = pool.submit(run, explanations(site, seconds))
            found.append((alone, run(load), explaining.result()))
    return found


def explanations(site: rig.Rig, seconds: float) -> Load:
    """The same row again and again, by a few clients."""
    body = json.dumps({"model": "rig", "features": rig.example(), "user_id": "user-1"})
    return Load(
        f"http://127.0.0.1:{site.port}/v1/explain",
        (body,),
        f"Bearer {rig.CLIENT_KEY}",
        connections=EXPLAINING,
        seconds=seconds,
    )


def report(found: list[Pair]) -> None:
    """The figures, one a line."""
    figures = {
        "predictions_p99_alone_ms": _median([alone.p99_ms for alone, _, _ in found]),
        "predictions_p99_beside_explanations_ms": _median([both.p99_ms for _, both, _ in found]),
        "explanations_p99_cost_ratio": _median(
            [both.p99_ms / alone.p99_ms for alone, both, _ in found]
        ),
        "predictions_errors": sum(both.errors for _, both, _ in found),
        "explanations_rps": _median([each.requests_per_second for _, _, each in found]),
        "explanations_p50_ms": _median([each.p50_ms for _, _, each in found]),
        "explanations_errors": sum(each.errors for _, _, each in found),
    }
    for name, value in figures.items():
        print(f"{name}={value}", flush=True)


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
