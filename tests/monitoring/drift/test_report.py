"""What scores are expected to be, and the verdict that needs an effect and evidence."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.moments import mean_shift, missing_shift, relative_shift
from apps.monitoring.drift.null import calibrate, quadratic, root_quadratic
from apps.monitoring.drift.report import Level, Reference, report
from serving.bins import BOOLEAN, category_bins
from serving.profile import Column, Layout, Profile
from tests.monitoring.drift.worlds import frozen, mixed, mixed_layout, normal

ONE = np.ones(1)
LAYOUT = mixed_layout(np.random.default_rng(8))
LAWS = calibrate(Profile.of(LAYOUT, mixed(np.random.default_rng(9), 1_000)), draws=500)


def against(reference: dict[str, Column], current: dict[str, Column]) -> tuple[Profile, Profile]:
    before = frozen(reference)
    return before, Profile.of(before.layout, current)


def test_quadratic__value__scipys_chi_square_tail() -> None:
    found = quadratic(0.03 * ONE, 0.002 * ONE, np.array([10]))
    assert (found.expected[0], found.spread[0]) == pytest.approx((0.018, 0.002 * 18**0.5))
    assert found.p[0] == pytest.approx(stats.chi2.sf(15, 9))
    assert found.excess[0] == pytest.approx(0.012)


def test_root_quadratic__value__scipys_chi() -> None:
    found = root_quadratic(0.1 * ONE, 0.002 * ONE, np.array([6]))
    law = stats.chi(5, scale=0.002**0.5)
    assert (found.expected[0], found.spread[0]) == pytest.approx((law.mean(), law.std()))
    assert found.p[0] == pytest.approx(law.sf(0.1))


def test_quadratic__a_single_cell__shows_nothing_but_is_known() -> None:
    found = quadratic(0 * ONE, ONE, np.array([1]))
    assert (found.value[0], found.expected[0], found.p[0]) == (0, 0, 1)


def test_calibrate__same_seed__same_laws_and_two_cells_have_a_closed_form() -> None:
    before = Profile.of(Layout.of({"late": BOOLEAN}), {"late": [True] * 20 + [False] * 80})
    one, two = calibrate(before), calibrate(before)
    assert (one.l_infinity.quantiles == two.l_infinity.quantiles).all()
    # |q - p| of a share of .2 is |N(0, .16 c)|; 10,000 draws: four standard errors.
    assert one.l_infinity.mean[0] == pytest.approx(0.4 * (2 / np.pi) ** 0.5, abs=0.0097)
    judged = one.l_infinity.judge(0.784 * ONE, ONE)
    assert judged.p[0] == pytest.approx(0.05, abs=0.009)


def test_mean_shift__two_samples__welchs_test() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(0, 1, 300), rng.normal(0.2, 2, 100)
    found = mean_shift(*against({"x": one}, {"x": two}))
    assert found.p[0] == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)
    assert found.value[0] == pytest.approx(abs(two.mean() - one.mean()) / one.std(ddof=1))


def test_mean_shift__of_a_constant__not_computable() -> None:
    assert np.isnan(mean_shift(*against({"x": [7.0] * 9}, {"x": [8.0] * 9})).value).all()


def test_relative_shift__two_to_two_point_two_percent__is_ten_percent() -> None:
    before = [1.0] * 200 + [0.0] * 9_800
    found = relative_shift(*against({"p": before}, {"p": [1.0] * 220 + [0.0] * 9_780}))
    assert found.value[0] == pytest.approx(0.1)
    error = (0.02 * 0.98 + 0.022 * 0.978) ** 0.5 / 9_999**0.5 / 0.02
    assert found.p[0] == pytest.approx(2 * stats.norm.sf(0.1 / error))


def test_relative_shift__reference_mean_near_zero__not_computable() -> None:
    found = relative_shift(*against({"p": [-1.0, 1.0] * 50}, {"p": [1.0] * 9}))
    assert np.isnan(found.value).all()


def test_missing_shift__shares__pooled_z() -> None:
    gone: list[float | None] = [None] * 30 + [1.0] * 70
    found = missing_shift(*against({"x": [1.0, 2.0] * 200}, {"x": gone}))
    assert found.value[0] == pytest.approx(0.3)
    assert found.p[0] == pytest.approx(2 * stats.norm.sf(0.3 / (0.06 * 0.94 / 80) ** 0.5))


def test_report__one_of_three_moves__only_that_one() -> None:
    rng = np.random.default_rng(2)
    before = frozen(normal(rng, 5_000, 3))
    moved = normal(rng, 2_000, 3)
    moved["x1"] = rng.normal(0.5, 1, 2_000)
    found = report(Reference.freeze(before), Profile.of(before.layout, moved))
    assert found.drifted == ("x1",)
    assert found.feature("x1").verdict is Level.SIGNIFICANT
    assert found.feature("x0").verdict is Level.NONE
    assert found.feature("x1").scores["psi"].excess > 0.2


def test_report__moved_by_a_hair_on_many_rows__evidence_without_effect() -> None:
    rng = np.random.default_rng(3)
    before = frozen(normal(rng, 100_000, 1))
    found = report(
        Reference.freeze(before), Profile.of(before.layout, {"x0": rng.normal(0.05, 1, 100_000)})
    ).feature("x0")
    assert found.verdict is Level.NONE
    assert found.scores["psi"].p < 1e-6


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(0, "there are no current values of it"), (40, "not enough rows: sampling alone makes")],
)
def test_report__few_rows__says_so_and_not_none(rows: int, reason: str) -> None:
    rng = np.random.default_rng(4)
    before = frozen(normal(rng, 5_000, 1))
    found = report(Reference.freeze(before), Profile.of(before.layout, normal(rng, rows, 1)))
    verdict = found.feature("x0").verdict
    assert isinstance(verdict, NotComputable)
    assert verdict.reason.startswith(reason)
    assert found.drifted == ()


def test_report__few_rows_four_sigma_away__needs_no_more() -> None:
    rng = np.random.default_rng(5)
    before = frozen(normal(rng, 5_000, 1))
    found = report(Reference.freeze(before), Profile.of(before.layout, {"x0": [4.0, 4.1, 4.2]}))
    assert found.feature("x0").verdict is Level.SIGNIFICANT


def test_report__prediction_mean_up_by_a_fifth__significant_where_it_is_a_prediction() -> None:
    rng = np.random.default_rng(6)
    before = frozen({"score": rng.beta(2, 8, 20_000)})
    current = Profile.of(before.layout, {"score": 1.2 * rng.beta(2, 8, 20_000)})
    plain, predicted = Reference.freeze(before), Reference.freeze(before, frozenset({"score"}))
    assert report(plain, current).feature("score").verdict is Level.NONE
    assert report(predicted, current).feature("score").verdict is Level.SIGNIFICANT


def test_report__new_category__found_by_its_cell() -> None:
    rng = np.random.default_rng(7)
    layout = mixed_layout(rng)
    before = Profile.of(layout, mixed(rng, 5_000))
    columns = mixed(rng, 1_000)
    columns["carrier"] = ["ZZ"] * 200 + list(columns["carrier"][200:])
    found = report(Reference.freeze(before), Profile.of(layout, columns))
    assert found.drifted == ("carrier",)
    assert set(found.feature("carrier").scores) == {
        "psi", "jensen_shannon", "hellinger", "chi_square", "l_infinity", "missing",
    }  # fmt: skip


@given(seed=st.integers(0, 2**32), before=st.integers(0, 60), rows=st.integers(0, 60))
@example(seed=0, before=2, rows=2)  # of two rows one value is left: a mean without a spread
@example(seed=24, before=2, rows=1)
def test_report__any_rows_or_none__chances_are_chances_and_silence_is_not_none(
    seed: int, before: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    reference = Reference(Profile.of(LAYOUT, mixed(rng, before)), LAWS)
    found = report(reference, Profile.of(LAYOUT, mixed(rng, rows)))
    for one in found.scores.values():
        known = ~np.isnan(one.value)
        assert (one.p[known] >= 0).all()
        assert (one.p[known] <= 1).all()
        assert (one.spread[known] >= 0).all()
    if not before or not rows:
        assert (found.levels == -1).all()
        assert isinstance(found.feature("late").verdict, NotComputable)


def test_report__no_features__is_empty() -> None:
    nothing = Profile.empty(Layout.of({}))
    assert report(Reference.freeze(nothing), nothing).drifted == ()


def test_report__window_in_other_bins__refused() -> None:
    before = Profile.of(Layout.of({"x": category_bins(["a"] * 9)}), {"x": ["a"] * 9})
    with pytest.raises(ValueError, match="reference's bins"):
        report(Reference.freeze(before), frozen({"x": [1.0, 2.0]}))
