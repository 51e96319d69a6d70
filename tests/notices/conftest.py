"""A receiver on loopback that the operator's list allows."""

from collections.abc import Iterator

import pytest

from tests.conftest import Configure
from tests.notices.receiver import Receiver, receiving


@pytest.fixture
def receiver(configure: Configure) -> Iterator[Receiver]:
    """A receiver that may be called."""
    with receiving() as running:
        configure(outbound_allow=f"127.0.0.1:{running.port}")
        yield running
