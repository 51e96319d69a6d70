"""Several outputs as one: golden values, scikit-learn's ensembles, and what is refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from contracts.policy import Ensemble
from contracts.schema import Labelling, OutputSpec
from serving.ensemble import Combiner, EnsembleError, Floats, combine, read_output, vote

BINARY = OutputSpec(tensor="p", datatype="FP64")
THREE = OutputSpec(tensor="p", datatype="FP64", kind="multiclass", width=3)
VALUE = OutputSpec(tensor="y", datatype="FP64", kind="regression", width=1)
LABELS = Labelling(labels={"0": "on_time", "1": "late"})
KEYS = ("a", "b", "c")
ESTIMATORS = [
    ("a", LogisticRegression()),
    ("b", GaussianNB()),
    ("c", DecisionTreeClassifier(max_depth=3, random_state=0)),
]


def ensemble(combine: Any, members: int = 3, **more: Any) -> Ensemble:
    return Ensemble(combine=combine, members=KEYS[:members], **more)


def raw(*values: float) -> bytes:
    return np.array(values, dtype="<f8").tobytes()


def combiner(spec: Ensemble, output: OutputSpec = BINARY, labels: Labelling = LABELS) -> Combiner:
    return Combiner(spec, output, labels, [(output, labels)] * len(spec.members))


def probabilities(fitted: VotingClassifier, rows: Floats) -> Floats:
    return np.stack([each.predict_proba(rows) for each in fitted.estimators_])


def data(classes: int) -> tuple[Floats, Any]:
    found = make_classification(200, n_informative=5, n_classes=classes, random_state=3)
    return found[0], found[1]


def test_mean__two_columns__labels_by_the_ensembles_threshold() -> None:
    labels = Labelling(labels=LABELS.labels, threshold=0.45)
    raws = [raw(0.75, 0.25), raw(0.5, 0.5), raw(0.375, 0.625)]
    output, (answer,) = combiner(ensemble("mean"), labels=labels).combine(raws, 1)
    assert answer is not None
    assert answer.score == pytest.approx(1.375 / 3)
    assert (answer.index, answer.label) == (1, "late")
    assert read_output(output, BINARY)[0, 1] == answer.score


def test_members__one_and_two_columns__are_read_alike() -> None:
    narrow = OutputSpec(tensor="p", datatype="FP32", width=1)
    both = Combiner(ensemble("mean", 2), BINARY, LABELS, [(narrow, LABELS), (BINARY, LABELS)])
    _, (answer,) = both.combine([np.float32(0.5).tobytes(), raw(0.75, 0.25)], 1)
    assert answer is not None
    assert answer.score == 0.375


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("classes", [2, 3])
def test_mean_and_weighted__are_scikit_learns_soft_voting(
    classes: int, weights: tuple[float, ...]
) -> None:
    rows, truth = data(classes)
    theirs = VotingClassifier(ESTIMATORS, voting="soft", weights=weights or None).fit(rows, truth)
    spec = ensemble("weighted" if weights else "mean", weights=weights)
    ours = combine(spec, probabilities(theirs, rows))
    np.testing.assert_allclose(ours, theirs.predict_proba(rows), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_vote__of_three_without_ties__is_scikit_learns_hard_voting(classes: int) -> None:
    rows, truth = data(classes)
    theirs = VotingClassifier(ESTIMATORS, voting="hard").fit(rows, truth)
    outputs = probabilities(theirs, rows)
    decisions = outputs.argmax(axis=2)
    shares, winners = vote(ensemble("vote"), outputs, decisions)
    clear = shares.max(axis=1) > 0.5
    np.testing.assert_array_equal(winners[clear], theirs.predict(rows)[clear])
    assert clear.sum() > 100


def test_vote__tie__goes_to_the_higher_mean() -> None:
    raws = [raw(0.875, 0.125), raw(0.375, 0.625)]
    _, (answer,) = combiner(ensemble("vote", 2)).combine(raws, 1)
    assert answer is not None
    assert (answer.score, answer.index, answer.confidence) == (0.5, 0, 0.5)


def test_vote__each_member_by_its_own_threshold__counts_decisions_not_scores() -> None:
    eager, strict = (Labelling(labels=LABELS.labels, threshold=at) for at in (0.25, 0.75))
    found = Combiner(
        ensemble("vote"), BINARY, strict, [(BINARY, eager), (BINARY, eager), (BINARY, strict)]
    )
    _, (answer,) = found.combine([raw(0.625, 0.375)] * 3, 1)
    assert answer is not None
    assert answer.score == pytest.approx(2 / 3)
    assert answer.label == "late"


def test_stack__binary__is_scikit_learns_stacking() -> None:
    rows, truth = data(2)
    theirs = StackingClassifier(ESTIMATORS, stack_method="predict_proba", cv=3).fit(rows, truth)
    final = theirs.final_estimator_
    spec = ensemble("stack", weights=tuple(final.coef_[0]), intercept=float(final.intercept_[0]))
    outputs = np.stack([each.predict_proba(rows) for each in theirs.estimators_])
    np.testing.assert_allclose(combine(spec, outputs), theirs.predict_proba(rows), rtol=1e-9)


def test_stack__regression__is_scikit_learns_stacking() -> None:
    rows, truth = make_regression(120, 4, noise=5.0, random_state=1)
    estimators = [("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, random_state=0))]
    theirs = StackingRegressor(estimators, final_estimator=LinearRegression(), cv=3)
    theirs.fit(rows, truth)
    final = theirs.final_estimator_
    spec = ensemble("stack", 2, weights=tuple(final.coef_), intercept=float(final.intercept_))
    outputs = np.stack([each.predict(rows)[:, np.newaxis] for each in theirs.estimators_])
    ours = combine(spec, outputs, kind="regression")[:, 0]
    np.testing.assert_allclose(ours, theirs.predict(rows), rtol=1e-9)


def test_stack__extreme_scores__do_not_overflow() -> None:
    spec = ensemble("stack", 1, weights=(1e6,), intercept=-5e5)
    outputs = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    np.testing.assert_array_equal(combine(spec, outputs), [[1, 0], [0, 1]])


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1)), st.integers(0, 2))
def test_mean__of_probabilities__stays_between_the_members(scores: Floats, rolled: int) -> None:
    outputs = np.stack((1 - scores, scores), axis=2)
    mean = combine(ensemble("mean"), outputs)[:, 1]
    assert np.all(mean >= scores.min(axis=0) - 1e-12)
    assert np.all(mean <= scores.max(axis=0) + 1e-12)
    again = combine(ensemble("mean"), np.roll(outputs, rolled, axis=0))[:, 1]
    np.testing.assert_allclose(mean, again, rtol=1e-12)


def test_combine__row_that_is_not_a_number__has_no_answer_and_spares_the_others() -> None:
    raws = [raw(0.5, 0.5, 0.5, float("nan")), raw(0.5, 0.5, 0.5, 0.5)]
    for how in ("mean", "vote"):
        _, answers = combiner(ensemble(how, 2)).combine(raws, 2)
        assert [each is None for each in answers] == [False, True]


@pytest.mark.parametrize(
    ("spec", "output", "words"),
    [
        (ensemble("vote"), VALUE, "voted on"),
        (ensemble("stack", weights=(1, 1, 1)), THREE, "stacking"),
        (ensemble("weighted"), BINARY, "needs a weight"),
        (ensemble("weighted", weights=(1.0,)), BINARY, "1 weights for 3"),
        (ensemble("weighted", weights=(0, 0, 0)), BINARY, "positive"),
        (ensemble("vote", weights=(1, -1, 1)), BINARY, "negative"),
        (ensemble("stack", weights=(1, float("inf"), 1)), BINARY, "finite"),
        (ensemble("mean", 0), BINARY, "at least one"),
    ],
)
def test_check__impossible_combination__says_why(
    spec: Ensemble, output: OutputSpec, words: str
) -> None:
    with pytest.raises(EnsembleError, match=words):
        combiner(spec, output)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ((VALUE, LABELS), "regression"),
        ((BINARY, Labelling(labels={"0": "late", "1": "on_time"})), "other labels"),
    ],
)
def test_check__member_of_another_kind_or_meaning__is_refused(
    member: tuple[OutputSpec, Labelling], words: str
) -> None:
    members: Sequence[tuple[OutputSpec, Labelling]] = [(BINARY, LABELS), member]
    with pytest.raises(EnsembleError, match=words):
        Combiner(ensemble("mean", 2), BINARY, LABELS, members)
