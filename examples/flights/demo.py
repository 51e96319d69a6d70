"""The demo: the story once, then live traffic and the addresses to look at, until Ctrl-C.

`python -m examples.flights.demo --endpoints .switchyard/endpoints.json`, on a running platform.
"""

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from examples.flights.client import Refused
from examples.flights.register import MODEL_NAME
from examples.flights.scene import ENDPOINT, Pace, Places, account
from examples.flights.story import replay, report, tell

IDLE_RATE = 40.0
REPORT_EVERY_S = 60.0


def main() -> int:
    """The story's verdict as exit code, once somebody stopped the demo."""
    arguments = _arguments()
    places = Places.read(arguments.endpoints)
    verdict = 0
    if known(places, f"/endpoints/{ENDPOINT}"):
        print("The story was told on an earlier start; its end state serves on.")
    elif known(places, f"/models/{MODEL_NAME}"):
        print("An earlier story broke off before anything was served: `make reset` begins anew.")
        return 1
    else:
        ledger = tell(places, Pace())
        report(ledger)
        verdict = 0 if ledger.as_expected else 1
    print(sights(places), flush=True)
    serve_on(places)
    return verdict


def known(places: Places, path: str) -> bool:
    """Whether the control plane has this."""
    with ExitStack() as stack:
        try:
            account(places, "operator", stack).get(path)
        except Refused as refusal:
            if refusal.status == 404:
                return False
            raise
    return True


def sights(places: Places) -> str:
    """The addresses, the sign-ins and what to look at."""
    people = [f"  {name:10} {places.users[name]}" for name in ("scientist", "approver")]
    pages = (
        (f"/endpoints/{ENDPOINT}/", "live traffic: errors and latency per variant"),
        ("/rollouts/", "the three ramps and the verdicts that moved them"),
        (f"/models/{MODEL_NAME}/", "the four versions, their stages and validations"),
        ("/audit/", "who did what: refused approvals, two rollbacks"),
        ("/api/docs/", "the REST API, to try out"),
    )
    lines = [f"  {places.web}{path:24} {what}" for path, what in pages]
    return "\n".join(
        [
            "",
            "Look at",
            *lines,
            f"  {places.mlflow:45} the runs in MLflow",
            "Sign in as (name, password)",
            *people,
            f"Ask {places.gateway}/v1/predict (bearer token: `tokens.client` of endpoints.json)",
            f"Flights go on at {IDLE_RATE:g} a second until Ctrl-C.",
            "",
        ]
    )


def serve_on(places: Places) -> None:
    """Live traffic until SIGINT or SIGTERM, with a line a minute."""
    traffic = replay(places, Pace(rate=IDLE_RATE))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    traffic.start()
    try:
        while True:
            time.sleep(REPORT_EVERY_S)
            print(f"{len(traffic.answers):,} flights answered", flush=True)
    except KeyboardInterrupt:
        print("\nstopping the traffic", flush=True)
    finally:
        traffic.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples.flights.demo", description=__doc__)
    parser.add_argument("--endpoints", type=Path, default=Path(".switchyard/endpoints.json"))
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
