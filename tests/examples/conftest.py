from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from examples.flights.cache import trained_models
from examples.flights.data import arrived, load_flights
from examples.flights.models import TrainedModel


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TrainedModel]]:
    """The four versions by name, trained once for the run into a place of its own."""
    home: Path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXAMPLES_CACHE", str(home))
        yield {model.name: model for model in trained_models()}


@pytest.fixture(scope="session")
def served() -> pd.DataFrame:
    """The flights of March and April that arrived."""
    return arrived(load_flights((3, 4)))
