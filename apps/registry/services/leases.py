"""Keeping a lease while work goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection

log = structlog.get_logger(__name__)


@contextmanager
def renewed(renew: Callable[[], bool], *, every_s: float) -> Iterator[None]:
    """Call `renew` every `every_s` seconds, in a thread of its own, until the block ends.

    Stops early when `renew` says that the lease is lost; the work goes on, and its result meets
    the fencing number.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(renew, every_s, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _keep(renew: Callable[[], bool], every_s: float, ended: threading.Event) -> None:
    try:
        while not ended.wait(every_s):
            if not renew():
                return
    except DatabaseError as error:
        log.warning("lease.not_renewed", error=str(error))
    finally:
        connection.close()
