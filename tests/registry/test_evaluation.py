"""Evaluation tables and what is said about them: golden values, properties, every verdict."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.registry import checks
from apps.registry.checks import CheckContext, CheckResult
from apps.registry.checks.dependencies import is_pinned, read_requirements
from apps.registry.evaluation.statistics import (
    Estimate,
    area_under_curve,
    difference,
    largest_gap,
    quantile,
    wilson,
)
from apps.registry.evaluation.table import BadTable, Table, estimates, evaluate, read_table
from apps.registry.models import EvidenceFile, ModelVersion
from tests.registry.factories import make_version

ROWS = [(1, 0.9), (0, 0.2), (1, 0.4), (0, 0.6), (1, 0.8), (0, 0.1)]
Z = quantile(0.95)


def test_wilson__published_example__same_bounds() -> None:
    found = wilson(8, 10, Z)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_difference__newcombe_1998__same_bounds() -> None:
    found = difference(_share(56, 70), _share(48, 80))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def _share(hits: int, rows: int) -> Estimate:
    found = Estimate.proportion(hits, rows)
    assert found is not None
    return found


@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_wilson__of_any_share__holds_it_and_narrows_with_rows(
    rows: int, data: st.DataObject, confidence: float
) -> None:
    hits, z = data.draw(st.integers(0, rows)), quantile(confidence)
    few, many = wilson(hits, rows, z), wilson(hits * 10, rows * 10, z)
    assert 0 <= few.low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= few.high <= 1
    assert many.high - many.low <= few.high - few.low + 1e-12


@given(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), min_size=2), st.data())
def test_area__of_any_scores__is_the_share_of_pairs_in_order(
    ones: list[float], data: st.DataObject
) -> None:
    zeros = data.draw(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), min_size=2))
    found = area_under_curve(ones, zeros)
    pairs = [(a > b) + (a == b) / 2 for a in ones for b in zeros]
    assert found is not None
    assert found.value == pytest.approx(sum(pairs) / len(pairs))


def test_interval__of_the_area__covers_the_truth_as_often_as_it_says() -> None:
    """Two normals a standard deviation apart: the area is Phi(1 / sqrt 2) = 0.7602."""
    random, covered = np.random.default_rng(7), 0
    for _ in range(300):
        found = area_under_curve(random.normal(1, 1, 60), random.normal(0, 1, 60))
        assert found is not None
        interval = found.interval()
        assert interval is not None
        covered += interval.low <= 0.76025 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 100), min_size=2, max_size=5))
def test_gap__of_any_groups__is_the_widest_and_inside_its_interval(groups: dict[str, int]) -> None:
    found = largest_gap({name: _share(hits, 100) for name, hits in groups.items()})
    assert found is not None
    assert found.value == pytest.approx((max(groups.values()) - min(groups.values())) / 100)
    assert found.interval.low <= found.value <= found.interval.high


def table(**groups: list[Any]) -> Table:
    return Table({"label": [row[0] for row in ROWS], "score": [row[1] for row in ROWS], **groups})


def test_table__binary__counts_what_it_should() -> None:
    found = evaluate(table(sex=[*"ffmmfm"]), kind="binary", threshold=0.5)
    cell = found.overall
    assert (cell.rows, cell.correct, cell.positives, cell.said, cell.both) == (6, 4, 3, 3, 2)
    figures = estimates(found)
    assert figures["recall"].value == figures["precision"].value == pytest.approx(2 / 3)
    assert figures["auc"].value == pytest.approx(8 / 9)
    assert figures["brier"].value == pytest.approx(0.82 / 6)
    assert found.groups["sex"]["f"].correct == 3
    assert msgspec.convert(msgspec.to_builtins(found), type(found)) == found


def test_table__of_other_kinds__counts_too() -> None:
    numbers = Table({"label": [1.0, 2.0, 3.0], "score": [1.5, 2.0, 2.0]})
    found = estimates(evaluate(numbers, kind="regression", threshold=0.5))
    assert (found["mae"].value, found["mse"].value) == pytest.approx((0.5, 1.25 / 3))
    classes = Table({"label": ["a", "b", 3], "score": ["a", "a", 3], "much": [1, 2, None]})
    counted = evaluate(classes, kind="multiclass", threshold=0.5)
    assert counted.overall.correct == 2
    assert set(counted.groups["much"]) == {"1", "2", "missing"}


def parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet as files

    sink = io.BytesIO()
    files.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def test_file__parquet_and_json__read_alike() -> None:
    columns: dict[str, list[Any]] = {"label": [1, 0], "score": [0.5, 0.25], "sex": ["f", None]}
    rows = msgspec.json.encode(
        [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
    )
    split = msgspec.json.encode(
        {
            "columns": list(columns),
            "data": [list(one) for one in zip(*columns.values(), strict=True)],
        }
    )
    found = read_table("evaluation.parquet", parquet(columns))
    assert dict(found.columns) == columns
    assert read_table("evaluation.json", rows) == read_table("evaluation.json", split) == found


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("evaluation.parquet", b"PAR1 not", "no Parquet"),
        ("evaluation.json", b"{", "no JSON"),
        ("evaluation.json", b"[1]", "neither"),
        ("evaluation.json", b'[{"label": 1}]', "no column 'score'"),
        ("evaluation.json", b'[{"label": 1, "score": null}]', "without label or score"),
        ("evaluation.json", b'{"columns": ["label", "score"], "data": [[1]]}', "length"),
    ],
)
def test_file__that_is_no_table__says_why(name: str, body: bytes, why: str) -> None:
    with pytest.raises(BadTable, match=why):
        read_table(name, body)


@pytest.mark.parametrize("score", [1.2, "high", float("nan")])
def test_table__scores_that_are_no_chances__refused(score: Any) -> None:
    with pytest.raises(BadTable):
        evaluate(Table({"label": [1], "score": [score]}), kind="binary", threshold=0.5)


def test_requirements__of_a_file__names_and_what_is_open() -> None:
    text = "mlflow==3.17.0\n# a comment\nSci-Kit_Learn>=1.5 ; python_version > '3'\nnumpy\n-r x\n"
    found = read_requirements(text)
    assert found == {"mlflow": "==3.17.0", "sci-kit-learn": ">=1.5", "numpy": ""}
    assert [name for name, wanted in found.items() if is_pinned(wanted)] == ["mlflow"]


def evaluated(
    version: ModelVersion, summary: dict[str, Any], name: str = "evaluation.json"
) -> None:
    EvidenceFile.objects.create(
        version=version,
        name=name,
        uri="s3://x/y",
        digest="a" * 64,
        size_bytes=1,
        summary=summary,
        created_by="system:evidence",
    )


def counts(correct: int, rows: int, **groups: tuple[int, int]) -> dict[str, Any]:
    """A summary in which half of the rows are positive; groups are (said positive, rows)."""
    cells = {
        name: {"rows": n, "correct": n // 2, "positives": n // 2, "said": said, "both": said // 2}
        for name, (said, n) in groups.items()
    }
    overall = {"rows": rows, "correct": correct, "positives": rows // 2, "said": rows // 2}
    return {
        "kind": "binary",
        "threshold": 0.5,
        "overall": {**overall, "both": correct // 2},
        "groups": {"sex": cells} if cells else {},
    }


def context(version: ModelVersion, champion: ModelVersion | None, **settings: Any) -> CheckContext:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return CheckContext(version, champion, "production", settings, now)


def run(name: str, given: CheckContext) -> CheckResult:
    check = checks.named(name)
    assert check is not None
    assert check.applies_to(given)
    return checks.run_guarded(check, given)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((9_000, 10_000), (9_000, 10_000), "pass"),
        ((8_000, 10_000), (9_000, 10_000), "fail"),
        ((90, 100), (90, 100), "inconclusive"),
    ],
)
def test_regression__beside_the_champion__the_interval_decides(
    ours: tuple[int, int], theirs: tuple[int, int], verdict: str
) -> None:
    champion, version = make_version(stage="production"), make_version()
    evaluated(version, counts(*ours))
    evaluated(champion, counts(*theirs))
    found = run("regression", context(version, champion, metrics=["accuracy"]))
    assert found.verdict == verdict
    assert "better by" in found.detail


@pytest.mark.django_db
def test_regression__logged_metrics__need_their_sample_size() -> None:
    champion = make_version(stage="production", metrics={"accuracy": 0.8, "accuracy_n": 20_000})
    version = make_version(metrics={"accuracy": 0.8})
    found = run("regression", context(version, champion))
    assert found.verdict == "inconclusive"
    assert "<metric>_n" in found.detail
    version.metrics = {"accuracy": 0.82, "accuracy_n": 20_000}
    assert run("regression", context(version, champion)).verdict == "pass"
    version.metrics = {"loss": 0.2, "loss_n": 50.0, "loss_se": 0.001}
    champion.metrics = {"loss": 0.3, "loss_se": 0.001}
    assert run("regression", context(version, champion)).verdict == "pass"


@pytest.mark.django_db
def test_limits__of_a_policy__each_verdict() -> None:
    version = make_version(metrics={"accuracy": 0.8, "accuracy_n": 400}, size_bytes=2_000)
    given = context(version, None)

    def verdict(name: str, **settings: Any) -> str:
        return run(name, replace(given, settings=settings)).verdict.value

    assert verdict("floor", minimum={"accuracy": 0.8}) == "pass"
    assert verdict("floor", minimum={"accuracy": 0.81}) == "fail"
    assert verdict("floor", minimum={"auc": 0.5}) == "inconclusive"
    assert verdict("floor", minimum={"accuracy": 0.78}, confident=True) == "inconclusive"
    assert verdict("floor", minimum={"accuracy": 0.7}, confident=True) == "pass"
    assert verdict("floor", minimum={"accuracy": 0.9}, confident=True) == "fail"
    assert verdict("floor", minimum={"accuracy": "much"}) == "error"
    assert verdict("size", most_bytes=2_000) == "pass"
    assert verdict("size", most_bytes=1_999) == "fail"
    assert verdict("latency_budget", p95_ms=5) == "inconclusive"


@pytest.mark.django_db
def test_groups__of_an_evaluation_table__slices_and_bias() -> None:
    version = make_version()
    given = context(version, None)
    limits = {"groups": ["sex"], "demographic_parity": 0.1}
    assert run("bias", replace(given, settings=limits)).verdict == "inconclusive"
    alike = {"f": (2_500, 5_000), "m": (2_550, 5_000)}
    evaluated(version, counts(5_000, 10_000, **alike))
    row = EvidenceFile.objects.get()

    def verdict(name: str, found: dict[str, tuple[int, int]], **settings: Any) -> str:
        row.summary = counts(5_000, 10_000, **found)
        row.save()
        return run(name, replace(given, settings=settings)).verdict.value

    assert verdict("bias", alike, **limits) == "pass"
    apart = {"f": (1_000, 5_000), "m": (2_500, 5_000)}
    assert verdict("bias", apart, **limits) == "fail"
    assert verdict("bias", {"f": (20, 100), "m": (30, 100)}, **limits) == "inconclusive"
    assert verdict("bias", {**alike, "x": (5, 10)}, **limits) == "inconclusive"
    assert verdict("bias", apart, groups=["sex"], equalised_odds=0.1) == "fail"
    assert verdict("bias", alike, groups=["age"], equalised_odds=0.1) == "inconclusive"
    assert verdict("slices", alike, minimum=0.4) == "pass"
    assert verdict("slices", alike, minimum=0.6) == "fail"
    assert verdict("slices", {"f": (50, 100)}, minimum=0.51) == "inconclusive"
    assert verdict("slices", {"f": (50, 90)}, minimum=0.4) == "inconclusive"


@pytest.mark.django_db
def test_dependencies__beside_the_champion__what_differs_and_what_is_open() -> None:
    champion, version = make_version(stage="production"), make_version()
    evaluated(version, {"requirements": {"numpy": "==2.0", "onnx": ""}}, "requirements.txt")
    evaluated(champion, {"requirements": {"numpy": "==1.9"}}, "requirements.txt")
    found = run("dependencies", context(version, champion))
    assert found.verdict == "pass"
    assert found.figures["unpinned"] == ["onnx"]
    assert [one["package"] for one in found.figures["changes"]] == ["numpy", "onnx"]
    assert run("dependencies", context(version, champion, pinned=True)).verdict == "fail"
    assert run("dependencies", context(version, champion, forbidden=["numpy"])).verdict == "fail"
