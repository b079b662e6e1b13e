"""Better, or lucky: the test of paired predictions against scipy's, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fdht_models.data.significance import compare_paired, sign_test
from fdht_models.errors import ShapeError


@pytest.mark.parametrize(
    ("first", "second"),
    [(0, 0), (1, 0), (0, 5), (6, 0), (7, 3), (3, 7), (5, 5), (60, 41), (502, 0), (900, 1100)],
)
def test_it_is_the_exact_test_of_mcnemar(first: int, second: int) -> None:
    binomtest = pytest.importorskip("scipy.stats").binomtest
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    # scipy adds doubles; ours are whole numbers until the last division.
    assert sign_test(first, second) == pytest.approx(expected, rel=1e-10)


def test_it_is_the_sum_over_all_ways() -> None:
    ways = [math.comb(9, heads) for heads in range(10) if abs(heads - 4.5) >= abs(7 - 4.5)]
    assert sign_test(7, 2) == sign_test(2, 7) == sum(ways) / 2**9


def test_clips_are_counted_where_just_one_is_right() -> None:
    first = np.array([1, 1, 1, 0, 0, 1, 0, 1, 1, 1], bool)
    second = np.array([1, 0, 0, 1, 0, 1, 0, 1, 0, 1], bool)
    found = compare_paired(first, second)
    assert (found.first_only, found.second_only, found.clips) == (3, 1, 10)
    assert found.difference == 0.2
    assert found.p_value == 2 * (4 + 1) / 2**4
    assert found.interval[0] < 0 < 0.2 < found.interval[1]
    assert not found.first_is_better
    turned = compare_paired(second, first)
    assert turned.difference == -0.2
    np.testing.assert_allclose(turned.interval, [-bound for bound in found.interval[::-1]])


def test_the_interval_is_that_of_the_paper() -> None:
    """Bonett and Price's formula, written once more: 30 and 12 of 200 clips."""
    found = compare_paired(np.arange(200) < 30, (np.arange(200) >= 30) & (np.arange(200) < 42))
    first, second = 31 / 202, 13 / 202
    reach = 1.959964 * math.sqrt((first + second - (first - second) ** 2) / 202)
    np.testing.assert_allclose(
        found.interval, (first - second - reach, first - second + reach), atol=1e-6
    )
    assert found.first_is_better


@pytest.mark.parametrize(
    ("first", "second", "clips", "low", "exact"),
    # Only the interval finds a difference; both; the test finds one the other way; neither.
    [
        (20, 9, 1000, True, False),
        (30, 9, 1000, True, True),
        (9, 30, 1000, False, True),
        (9, 9, 1000, False, False),
    ],
)
def test_test_and_interval_must_agree(
    first: int, second: int, clips: int, low: bool, exact: bool
) -> None:
    order = np.arange(clips)
    found = compare_paired(order < first, (order >= first) & (order < first + second))
    assert (found.interval[0] > 0) is low
    assert (found.p_value < 0.05) is exact
    assert found.first_is_better is (low and exact)


def test_equally_good_ones_are_seldom_told_apart_and_the_interval_holds_the_truth() -> None:
    """In 2,000 drawings of 100 clips, true difference 0 or 0.1."""
    generator = np.random.default_rng(0)
    for shares in ((0.15, 0.15), (0.2, 0.1)):
        truth = shares[0] - shares[1]
        drawn = generator.multinomial(100, [*shares, 1 - sum(shares)], 2000)
        held = better = 0
        for first, second, _ in drawn:
            order = np.arange(100)
            right = order < first, (order >= first) & (order < first + second)
            found = compare_paired(*right)
            held += found.interval[0] <= truth <= found.interval[1]
            better += found.first_is_better
        # 95 % of 2,000, less four deviations of 0.5 %.
        assert held / 2000 > 0.93
        # One side of 5 % at most where there is no difference; one of two deviations often is.
        assert better / 2000 < 0.025 if not truth else better / 2000 > 0.25


def test_certain_figures_stay_within_what_can_be() -> None:
    everything = np.ones(3, bool)
    found = compare_paired(everything, ~everything)
    assert found.difference == found.interval[1] == 1
    same = compare_paired(everything, everything)
    assert (same.difference, same.p_value, same.first_is_better) == (0, 1, False)
    assert same.interval[0] < 0 < same.interval[1]


def test_other_clips_are_refused() -> None:
    with pytest.raises(ShapeError, match="of the same clips"):
        compare_paired(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ShapeError, match="of the same clips"):
        compare_paired(np.ones(0, bool), np.ones(0, bool))
