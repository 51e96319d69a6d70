import numpy as np
import pandas as pd
import pytest

from examples.flights.data import NUMERIC_FEATURES, load_flights
from examples.flights.encoding import fit_encoding, late_rates
from examples.flights.graphs import LinearWeights, linear_graph
from examples.flights.train import fit_trees, late_probabilities


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return load_flights((2,)).head(2000)


def test_late_rates__few_flights__follow_the_rule_of_succession() -> None:
    rates = late_rates(np.array([7, 7, 7, 9]), np.array([True, False, True, False]))
    assert rates == {7: pytest.approx(3 / 5), 9: pytest.approx(1 / 3)}


def test_encoding__unseen_carrier_and_route__count_as_even_odds(flights: pd.DataFrame) -> None:
    encoding = fit_encoding(flights, unseen_carrier=True)
    row = encoding.matrix(flights.head(1).assign(carrier="ZZ"))[0]
    assert row[:2].tolist() == [0.5, 0.5]


def test_encoding__without_a_row_for_the_unseen__refuses_it(flights: pd.DataFrame) -> None:
    encoding = fit_encoding(flights, unseen_carrier=False)
    with pytest.raises(IndexError):
        encoding.matrix(flights.head(1).assign(carrier="ZZ"))


def test_encoding__distance_in_another_unit__knows_no_route(flights: pd.DataFrame) -> None:
    encoding = fit_encoding(flights, unseen_carrier=True)
    metric = flights.assign(distance=flights["distance"] * 1.609344)
    assert (encoding.matrix(metric)[:, 0] == 0.5).mean() > 0.99
    assert (encoding.matrix(flights)[:, 0] == 0.5).mean() < 0.1


def test_tree_graph__same_flights__agrees_with_the_python_encoding(flights: pd.DataFrame) -> None:
    shuffled = flights.sample(frac=1.0, random_state=1)
    graph = fit_trees(flights, strict=False).SerializeToString()
    late = late_probabilities(graph, flights)
    np.testing.assert_allclose(
        late_probabilities(graph, shuffled), pd.Series(late, flights.index)[shuffled.index]
    )
    assert late[flights["delayed"]].mean() > 2 * late[~flights["delayed"]].mean()


def test_linear_graph__known_weights__gives_the_logistic_function(flights: pd.DataFrame) -> None:
    levels = {"carrier": ("AA", "B6"), "origin": ("EWR",), "dest": ("BOS",)}
    tables = {
        "carrier": np.array([0.1, 0.2, 0.3]),
        "origin": np.array([0.4, 0.5]),
        "dest": np.array([0.6, 0.7]),
    }
    slopes = np.linspace(0.0, 0.001, len(NUMERIC_FEATURES))
    weights = LinearWeights(levels, tables, np.full(13, -1.0), slopes, -2.0)
    row = flights.head(1).assign(carrier="B6", origin="EWR", dest="XXX")
    odds = 0.2 + 0.4 + 0.7 - 1.0 - 2.0 + row[list(NUMERIC_FEATURES)].to_numpy(float)[0] @ slopes
    (late,) = late_probabilities(linear_graph(weights).SerializeToString(), row)
    assert late == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)
