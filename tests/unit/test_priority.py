import math

import numpy as np
import pytest

from app.geo.priority import PriorityParameters, dosage, priority, residual
from app.shifts import HOUR_US

HALF = PriorityParameters(dosage_window_s=7_200.0, dosage_half_life_s=3_600.0, tau_s=600.0)


def rows(*values: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cell, hour, seconds = zip(*values, strict=True)
    return np.array(cell), np.array(hour, dtype=np.int64), np.array(seconds, dtype=np.float64)


def test_dosage_is_summed_per_cell_within_the_window() -> None:
    patrol = rows((0, 10, 60.0), (0, 11, 30.0), (2, 11, 5.0), (0, 9, 1000.0), (-1, 11, 9.0))
    # At 12:00 a window of two hours holds hours 10 and 11; hour 9 is too old, cell -1 elsewhere.
    assert dosage(*patrol, 3, 12 * HOUR_US, HALF).tolist() == [90.0, 0.0, 5.0]


def test_of_an_hour_at_the_edge_of_the_window_its_share_counts() -> None:
    # At 12:30 the window starts at 10:30, in the middle of hour 10: half of its 60 s count.
    assert dosage(*rows((0, 10, 60.0)), 1, 12 * HOUR_US + HOUR_US // 2, HALF).tolist() == [30.0]


def test_patrol_in_the_hour_that_is_running_counts_in_full() -> None:
    assert dosage(*rows((0, 12, 60.0)), 1, 12 * HOUR_US + HOUR_US // 2, HALF).tolist() == [60.0]


def test_an_hour_after_the_moment_counts_nothing() -> None:
    assert dosage(*rows((0, 12, 60.0)), 1, 12 * HOUR_US, HALF).tolist() == [0.0]
    assert residual(*rows((0, 12, 60.0)), 1, 12 * HOUR_US, HALF).tolist() == [0.0]


def test_residual_halves_with_every_half_life() -> None:
    # The same patrol one hour, that is one half-life, earlier leaves half as much.
    patrol = rows((0, 11, 100.0), (1, 10, 100.0))
    last, before = residual(*patrol, 2, 12 * HOUR_US, HALF)
    assert math.isclose(before, last / 2)
    # Over the last hour the decay falls from 1 to 1/2; its mean is (1 - 1/2) / ln 2 = 0.7213.
    assert math.isclose(last, 72.13, abs_tol=0.01)


def test_fresh_patrol_is_not_decayed() -> None:
    one_second_ago = rows((0, 12, 1.0))
    assert math.isclose(
        residual(*one_second_ago, 1, 12 * HOUR_US + 1_000_000, HALF)[0], 1, abs_tol=1e-3
    )


def test_no_patrol_leaves_nothing() -> None:
    none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    assert dosage(*none, 2, HOUR_US, HALF).tolist() == [0.0, 0.0]
    assert residual(*none, 2, HOUR_US, HALF).tolist() == [0.0, 0.0]


def test_priority_falls_to_a_share_of_1_by_e_at_tau() -> None:
    found = priority(np.array([2.0, 2.0, 0.0]), np.array([0.0, 600.0, 600.0]), HALF)
    assert np.allclose(found, [2.0, 2.0 / math.e, 0.0])
    assert len(priority(np.empty(0), np.empty(0), HALF)) == 0


@pytest.mark.parametrize("name", ["dosage_window_s", "dosage_half_life_s", "tau_s"])
def test_times_are_above_zero(name: str) -> None:
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="above zero"):
            PriorityParameters(**{name: wrong})
