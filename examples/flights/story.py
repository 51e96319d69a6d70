"""From training to a canary ramp under real traffic, through the public REST API only.

`python -m examples.flights.story --endpoints .switchyard/endpoints.json` tells it on a running
platform, prints what was expected and seen, and exits with 1 on any deviation.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from examples.flights import chapters
from examples.flights.data import load_flights
from examples.flights.ledger import Deviation, Ledger
from examples.flights.scene import ENDPOINT, Pace, Places, Scene, account
from examples.flights.traffic import Replay, flights

CHAPTERS = (
    chapters.train_and_register,
    chapters.import_versions,
    chapters.validate_all,
    chapters.promote_with_four_eyes,
    chapters.deploy_first,
    chapters.refuse_the_unapproved,
    chapters.go_live,
    chapters.ramp_v2,
    chapters.explain_answers,
    chapters.explain_a_prediction,
    chapters.withdraw_v4,
    chapters.withdraw_v3,
    chapters.refuse_the_archived,
    chapters.close_the_books,
)
REPLAYED_MONTHS = (3, 4)


def tell(places: Places, pace: Pace) -> Ledger:
    """Every chapter in order, up to the first deviation; the filled ledger."""
    ledger = Ledger()
    with ExitStack() as stack:
        scene = Scene(
            places=places,
            pace=pace,
            ledger=ledger,
            scientist=account(places, "scientist", stack),
            approver=account(places, "approver", stack),
            operator=account(places, "operator", stack),
            ci=account(places, "ci", stack),
            replay=replay(places, pace),
        )
        stack.callback(scene.replay.stop)
        try:
            for chapter in CHAPTERS:
                chapter(scene)
        except Deviation:
            ledger.tell("the rest of the story is not told")
    return ledger


def replay(places: Places, pace: Pace) -> Replay:
    """The flights of March and April, ready to leave.

    Two months pass in minutes; shuffled, every second has their mix instead of one day's weather.
    """
    mixed = load_flights(REPLAYED_MONTHS).sample(frac=1.0, random_state=0)
    questions = flights(mixed, endpoint=ENDPOINT)
    token = places.tokens["client"]
    return Replay(gateway_url=places.gateway, token=token, flights=questions, rate=pace.rate)


def main() -> int:
    """The exit code: 0 when all was as expected."""
    arguments = _arguments()
    pace = Pace(rate=arguments.rate, hold_s=arguments.hold)
    ledger = tell(Places.read(arguments.endpoints), pace)
    report(ledger)
    return 0 if ledger.as_expected else 1


def report(ledger: Ledger) -> None:
    """Print the table and the verdict."""
    print(f"\n{ledger.table()}\n")
    verdict = "as expected" if ledger.as_expected else "NOT as expected"
    print(f"{len(ledger.entries)} steps in {ledger.seconds:.0f} s: {verdict}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples.flights.story", description=__doc__)
    parser.add_argument("--endpoints", type=Path, default=Path(".switchyard/endpoints.json"))
    parser.add_argument("--rate", type=float, default=Pace.rate, help="requests per second")
    parser.add_argument("--hold", type=int, default=Pace.hold_s, help="seconds per ramp step")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
