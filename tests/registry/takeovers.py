"""Taking artifacts over, as a worker does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from apps.accounts.access import Principal
from apps.registry import services
from apps.registry.models import ModelVersion, RegisteredModel, Takeover
from apps.registry.selectors import get_version
from tests.registry.factories import make_model, scientist


def taken_over(version: ModelVersion) -> ModelVersion:
    """The version after a worker has dealt with it."""
    services.take_over(takeover_id=Takeover.objects.get(version=version).pk)
    return get_version(version.model.name, str(version.number))


def imported(
    *, actor: Principal | None = None, model: RegisteredModel | None = None, **order: Any
) -> ModelVersion:
    """Import from MLflow, by a scientist unless told; the version when it is ready.

    Raises what an import refuses, and TakeoverFailed for what a worker finds.
    """
    given = services.import_version(
        actor=actor or scientist(), model=model or make_model(), **order
    )
    return services.await_version(taken_over(given), wait_s=0)


@contextmanager
def working() -> Iterator[None]:
    """A worker in a thread of its own, which takes over whatever is registered meanwhile."""
    ended = threading.Event()
    thread = threading.Thread(target=_work, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _work(ended: threading.Event) -> None:
    while not ended.wait(0.05):
        for takeover in Takeover.objects.open().filter(attempts=0):
            services.take_over(takeover_id=takeover.pk)
    connection.close()
