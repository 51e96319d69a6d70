"""The models do what the story says of them; figures are those of the real flights."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

from examples.flights.cache import cache_folder, trained_models
from examples.flights.data import FEATURES, LABEL, TEXT_FEATURES
from examples.flights.models import TrainedModel
from examples.flights.train import (
    REGIONAL_CARRIERS,
    in_kilometres,
    late_probabilities,
    quality,
)

Models = dict[str, TrainedModel]


def served_accuracy(model: TrainedModel, served: pd.DataFrame) -> float:
    late = late_probabilities(model.onnx_bytes, served)
    return quality(late, served[LABEL].to_numpy(), model.threshold)["accuracy"]


def test_v2__in_production__is_better_than_v1(models: Models, served: pd.DataFrame) -> None:
    assert served_accuracy(models["v2"], served) > served_accuracy(models["v1"], served) + 0.03


def test_v3__offline__looks_as_good_as_v2(models: Models) -> None:
    assert models["v3"].metrics["accuracy"] == pytest.approx(
        models["v2"].metrics["accuracy"], abs=0.01
    )


def test_v3__given_miles__loses_a_tenth_of_its_accuracy_and_more(
    models: Models, served: pd.DataFrame
) -> None:
    assert served_accuracy(models["v3"], served) < 0.9 * served_accuracy(models["v2"], served)


def test_v3__given_kilometres__is_as_good_as_v2(models: Models, served: pd.DataFrame) -> None:
    repaired = served_accuracy(models["v3"], in_kilometres(served))
    assert repaired == pytest.approx(served_accuracy(models["v2"], served), abs=0.01)


def test_v4__carrier_its_validation_lacks__raises(models: Models, served: pd.DataFrame) -> None:
    regional = served[served["carrier"].isin(REGIONAL_CARRIERS)]
    assert len(regional) / len(served) >= 0.2
    assert not set(models["v4"].parameters["validation_carriers"].split(",")) & set(
        REGIONAL_CARRIERS
    )
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        late_probabilities(models["v4"].onnx_bytes, regional.head(1))


def test_v4__its_own_carriers__answers(models: Models, served: pd.DataFrame) -> None:
    mainline = served[~served["carrier"].isin(REGIONAL_CARRIERS)]
    assert np.isfinite(late_probabilities(models["v4"].onnx_bytes, mainline)).all()


@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
def test_model__values_never_seen__still_answers(
    models: Models, served: pd.DataFrame, name: str
) -> None:
    stranger = served.head(1).assign(carrier="ZZ", origin="XXX", dest="YYY", month=12)
    (late,) = late_probabilities(models[name].onnx_bytes, stranger)
    assert 0.0 < late < 1.0


def test_graphs__inputs__are_the_text_columns_and_one_float_tensor(models: Models) -> None:
    for model in models.values():
        graph = onnx.load_from_string(model.onnx_bytes).graph
        assert [value.name for value in graph.input] == [*TEXT_FEATURES, "numeric"]
        assert [value.name for value in graph.output] == ["probabilities"]


def test_probabilities__of_every_version__sum_to_one(models: Models) -> None:
    for model in models.values():
        frame = pd.DataFrame(model.example)
        session = onnxruntime.InferenceSession(model.onnx_bytes)
        assert list(frame.columns) == list(FEATURES)
        feeds = {name: frame[[name]].to_numpy(dtype=object) for name in TEXT_FEATURES}
        feeds["numeric"] = frame.drop(columns=list(TEXT_FEATURES)).to_numpy(np.float32)
        (probabilities,) = session.run(None, feeds)
        assert probabilities.shape == (5, 2)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_cache__second_start__returns_the_same_models(
    models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trained_at = [model.trained_at for model in trained_models()]
    assert cache_folder().is_dir()
    assert trained_at == [model.trained_at for model in models.values()]
