"""How fast the event log is read: the relay as it runs, on a durable Postgres.

Prints the medians of three runs: `event_delivery_p50_ms` and `event_delivery_p99_ms` from the
commit of a change to its subscriber, one at a time; `event_relay_per_s` events of a backlog,
chained and delivered; `event_verify_per_s` links of the chain proven.
"""

import os
import statistics
import threading
import time

import django

from embedded.private import PrivateServices

RUNS = 3
SINGLE, BACKLOG = 100, 2_000
PAUSE_S = 0.01


def main() -> None:
    """Start the stores, measure, print, stop."""
    services = PrivateServices(durable=True)
    try:
        services.start_postgres()
        services.start_valkey()
        os.environ.update(services.environment())
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
        django.setup()
        measure()
    finally:
        services.stop()


def measure() -> None:
    """Migrate, then time each part."""
    from django.core.management import call_command

    from apps.events import subscriptions

    call_command("migrate", verbosity=0)
    # What the apps would do on events is not measured here.
    subscriptions._subscriptions.clear()
    delays = [sorted(delivery_times()) for _ in range(RUNS)]
    print(f"event_delivery_p50_ms={statistics.median(run[SINGLE // 2] for run in delays):.1f}")
    print(f"event_delivery_p99_ms={statistics.median(run[-2] for run in delays):.1f}")
    print(f"event_relay_per_s={statistics.median(backlog_rate() for _ in range(RUNS)):.0f}")
    print(f"event_verify_per_s={statistics.median(verify_rate() for _ in range(RUNS)):.0f}")


def delivery_times() -> list[float]:
    """Milliseconds from commit to handler, with the relay in a thread of its own."""
    from django.db import connection

    from apps.events.relay import Relay
    from apps.events.services import subscribe

    arrived: dict[object, float] = {}
    came, leads = threading.Event(), threading.Event()

    def hear(event: object) -> None:
        arrived[getattr(event, "pk", None)] = time.perf_counter()
        came.set()

    subscribe("benchmark", ["*"], hear)
    with Relay(on_lead=leads.set) as relay:

        def run() -> None:
            try:
                relay.run()
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        leads.wait(30)
        delays = [_one(arrived, came) for _ in range(SINGLE)]
        relay.stop.set()
        thread.join()
    return delays


def _one(arrived: dict[object, float], came: threading.Event) -> float:
    came.clear()
    pk = add(1)
    committed = time.perf_counter()
    while pk not in arrived:
        came.wait(5)
    time.sleep(PAUSE_S)
    return (arrived[pk] - committed) * 1000


def add(count: int) -> object:
    """Record events in one transaction; the last one's key."""
    from django.db import transaction

    from apps.accounts.access import system
    from apps.events.services import record

    with transaction.atomic():
        for number in range(count):
            event = record(
                actor=system("benchmark"),
                verb="thing.done",
                object_key=f"thing:{number}",
                after={"number": number},
            )
    return event.pk


def backlog_rate() -> float:
    """Events a second, committed while no relay ran."""
    from apps.events.relay import Relay

    add(BACKLOG)
    with Relay() as relay:
        began = time.perf_counter()
        while relay.step():
            pass
        return BACKLOG / (time.perf_counter() - began)


def verify_rate() -> float:
    """Links a second."""
    from apps.events import chain

    links = chain.head().seq
    began = time.perf_counter()
    faults = list(chain.verify())
    if faults:
        raise SystemExit(f"the chain does not hold: {faults[0]}")
    return links / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
