import numpy as np
import pytest

from app.geo import accuracy


def test_hits_counts_the_first_cells_of_the_ranking():
    score = np.array([0.1, 0.9, 0.5, 0.3])
    happened = np.array([4.0, 3.0, 2.0, 1.0])
    # Ranked 1, 2, 3, 0: caught 3, 3 + 2, 3 + 2 + 1, all 10.
    assert accuracy.hits(score, happened, [1, 2, 3, 4]).tolist() == [3, 5, 6, 10]


def test_ties_are_broken_against_us():
    # Two cells tie; the one where nothing happened counts as chosen.
    assert accuracy.hits(np.array([1.0, 1.0]), np.array([5.0, 0.0]), [1]).tolist() == [0]


def test_a_cell_without_a_number_ranks_last():
    assert accuracy.ranking(np.array([np.nan, -1.0, 2.0]), np.zeros(3)).tolist() == [2, 1, 0]


def test_most_is_what_a_perfect_ranking_catches():
    assert accuracy.most(np.array([1.0, 5.0, 3.0]), [1, 2]).tolist() == [5, 8]


@pytest.mark.parametrize(
    ("budget", "cells", "chosen"),
    [(0.01, 100, 1), (0.005, 1376, 7), (0.01, 3, 1), (0.5, 3, 2), (1, 3, 3), (0.1, 0, 0)],
)
def test_a_budget_pays_for_the_nearest_number_of_cells(budget, cells, chosen):
    # 0.005 x 1376 = 6.88 -> 7; half of three cells is 1.5 -> 2; at least one where there is one.
    assert accuracy.cells_within(budget, cells) == chosen


def test_a_budget_is_a_share():
    with pytest.raises(ValueError, match="share"):
        accuracy.cells_within(5, 100)


def test_the_ratios_by_hand():
    # 6 of 10 incidents in a quarter of the area, where 8 could have been caught.
    assert accuracy.hit_rate(6, 10) == pytest.approx(0.6)
    assert accuracy.pai(6, 10, 25, 100) == pytest.approx(2.4)
    assert accuracy.pei(6, 8) == pytest.approx(0.75)
    assert accuracy.search_efficiency(6, 2.0) == pytest.approx(3.0)
    assert accuracy.observed_over_expected(6, 5) == pytest.approx(1.2)


def test_an_undefined_ratio_is_none():
    assert accuracy.hit_rate(0, 0) is None
    assert accuracy.pai(0, 0, 1, 2) is None
    assert accuracy.pai(1, 2, 0, 2) is None
    assert accuracy.pei(0, 0) is None
    assert accuracy.search_efficiency(1, 0) is None
    assert accuracy.observed_over_expected(1, 0) is None
    assert accuracy.capture_area(np.zeros(0), np.zeros(0)) is None


def test_deviance_by_hand():
    # y = 0, λ = 0.5: 2 · 0.5 = 1. y = λ: 0. y = 1, λ = 1/e: 2 · (1 − (1 − 1/e)) = 2/e.
    found = accuracy.poisson_deviance(np.array([0.5, 2.0, np.exp(-1)]), np.array([0.0, 2.0, 1.0]))
    assert found == pytest.approx([1.0, 0.0, 2 / np.e])


def test_a_surprise_where_nothing_was_expected_costs_a_finite_amount():
    assert np.isfinite(accuracy.poisson_deviance(np.zeros(1), np.ones(1))).all()


def test_capture_area_by_hand():
    # All incidents in the first of two cells: the curve goes (0, 0), (0.5, 1), (1, 1): 1/4 + 1/2.
    assert accuracy.capture_area(np.array([2.0, 1.0]), np.array([3.0, 0.0])) == pytest.approx(0.75)
