"""Single-row requests a second of other servers, beside the gateway with everything on.

All serve the same ONNX model on the machine that they share with the load generator, one after
the other, the gateway before and after each; a ratio compares neighbours in time.

    python -m benchmarks.peers [--seconds 5] [--rounds 3] [name …]
"""

import argparse

from benchmarks import gateway, rig
from benchmarks.load import generator
from benchmarks.peers import PEERS, compare, find, report_peer


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("names", nargs="*", default=[peer.name for peer in PEERS])
    options = parser.parse_args()
    site = rig.Rig()
    try:
        gateway.prepare(site)
        ours = gateway.through_gateway(site, options.seconds)
        print(f"load_generator={generator()}", flush=True)
        ratios: dict[str, float] = {}
        for name in options.names:
            rates = compare(site, find(name), ours, seconds=options.seconds, rounds=options.rounds)
            ratios[name] = report_peer(name, rates)
        # FastAPI is what one writes by hand; the others are products that serve models.
        products = [ratio for name, ratio in ratios.items() if name != "fastapi"]
        if products:
            print(f"gateway_vs_best_peer={min(products):.2f}", flush=True)
    finally:
        site.stop()


if __name__ == "__main__":
    main()
