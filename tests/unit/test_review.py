"""Backtests on two cells: one where everything happens, one where nothing does."""

from datetime import date

import h3
import numpy as np
import pytest

from app import review
from app.errors import Invalid
from app.geo.grid import grid_from
from app.geo.risk import NO_INCIDENTS, Incidents
from app.geo.zones import ZoneParameters
from app.shifts import HOUR_US

BUSY = h3.str_to_int(h3.latlng_to_cell(49.28, -123.12, 9))
QUIET = h3.str_to_int(h3.grid_ring(h3.int_to_str(BUSY), 1)[0])
TOWN = grid_from(np.array([BUSY, QUIET], dtype=np.uint64), 9)
CALENDAR = {"day": "06:00", "night": "18:00"}
SHIFTS, TESTED = review.calendar(
    CALENDAR, "UTC", date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 10)
)


def daily(cell=BUSY, hours=12, span_hours=0):
    """One incident on each of 70 days, at noon."""
    first = int(SHIFTS.start_us[0]) - 6 * HOUR_US + (np.arange(70) * 24 + hours) * HOUR_US
    last = first + span_hours * HOUR_US
    n = len(first)
    return Incidents(
        first,
        last,
        last,
        np.full(n, cell, dtype=np.uint64),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int8),
        ("theft",),
    )


def run(incidents):
    steps = list(review.backtest(incidents, TOWN, SHIFTS, TESTED, {"theft": 3.0}))
    return steps, review.report([step.scores for step in steps], TOWN)


def test_the_test_covers_both_days_and_their_shifts():
    assert len(TESTED) == 20
    assert SHIFTS.at(TESTED[0]).start_us == np.datetime64("2024-03-01T06:00", "us").astype(int)
    assert SHIFTS.at(TESTED[-1]).start_us == np.datetime64("2024-03-10T18:00", "us").astype(int)


def test_the_busy_cell_is_found_and_its_rate_is_right():
    steps, found = run(daily())
    model = found["models"]["model"]
    # All ten incidents of the ten tested days in the one cell of two that is chosen.
    assert found["incidents"] == 10
    assert model["hit_rate"][0] == 1
    assert model["pai"][0] == pytest.approx(2)
    assert model["pei"][0] == 1
    # Day shifts expect about one theft a day, and each weighs 3.
    busy = int(np.searchsorted(TOWN.cells, BUSY))
    assert steps[0].expected_incidents[busy] == pytest.approx(0.93, abs=0.05)
    assert steps[0].expected_harm == pytest.approx(3 * steps[0].expected_incidents)
    assert model["observed_over_expected"] == pytest.approx(1, abs=0.06)


def test_a_blind_choice_catches_its_share_of_the_area():
    _, found = run(daily())
    uniform = found["models"]["uniform"]
    assert uniform["hit_rate"] == pytest.approx([0.5] * 5)
    assert uniform["capture_area"] == pytest.approx(0.5)


def test_five_baselines_stand_beside_the_model():
    _, found = run(daily())
    assert set(found["models"]) == set(review.MODELS)
    assert len(review.MODELS) == 6


def test_removing_what_happens_later_changes_nothing_earlier():
    incidents = daily()
    cut = int(SHIFTS.start_us[TESTED[7]])
    steps, _ = run(incidents)
    earlier, _ = run(incidents.take(incidents.time_us < cut))
    for one, other in zip(steps[:8], earlier[:8], strict=True):
        assert (one.expected_incidents == other.expected_incidents).all()


def test_an_incident_of_two_possible_shifts_is_not_judged_and_is_counted():
    # From 12:00 for 12 hours: day or night.
    _, found = run(daily(span_hours=12))
    assert found["incidents"] == 0
    assert found["undated"] == 10


def test_nothing_happened():
    _, found = run(NO_INCIDENTS)
    model = found["models"]["model"]
    assert model["hit_rate"] == [None] * 5
    assert model["observed_over_expected"] is None
    assert model["deviance"] == pytest.approx(0, abs=1e-4)


def test_no_shift_tested():
    found = review.report([], TOWN)
    assert found["shifts"] == 0
    assert found["models"]["model"]["deviance"] is None


def test_a_boundary_without_cells_is_refused():
    empty = grid_from(np.zeros(0, dtype=np.uint64), 9)
    with pytest.raises(Invalid, match="finer resolution"):
        next(review.backtest(daily(), empty, SHIFTS, TESTED, {}))


def test_days_that_make_no_sense_are_refused():
    with pytest.raises(Invalid, match="before it begins"):
        review.calendar(CALENDAR, "UTC", date(2024, 1, 1), date(2024, 3, 2), date(2024, 3, 1))
    with pytest.raises(Invalid, match="before the history"):
        review.calendar(CALENDAR, "UTC", date(2024, 3, 2), date(2024, 3, 1), date(2024, 3, 3))
    with pytest.raises(Invalid, match="time zone"):
        review.calendar(CALENDAR, "Nowhere", date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 3))


ONE_CELL = ZoneParameters(zone_min_cells=1, zone_max_cells=1)


def test_a_plan_is_judged_beside_counts_of_equal_area():
    # One theft at noon of every day, all in BUSY: one in the tested day shift, 60 before it.
    shift = SHIFTS.at(TESTED[0])
    busy, quiet = ([np.array([cell], np.uint64)] for cell in (BUSY, QUIET))
    assert review.judge(busy, TOWN, daily(), shift, ONE_CELL) == review.Judgement(
        happened=1,
        caught=1,
        caught_by_counts=1,
        caught_by_counted_zones=1,
        possible=1,
        chosen=1,
        cells=2,
    )
    missed = review.judge(quiet, TOWN, daily(), shift, ONE_CELL)
    assert (missed.caught, missed.caught_by_counts, missed.caught_by_counted_zones) == (0, 1, 1)


def test_no_zones_catch_nothing():
    none = review.judge([], TOWN, daily(), SHIFTS.at(TESTED[0]), ONE_CELL)
    assert (none.happened, none.caught, none.caught_by_counts, none.chosen) == (1, 0, 0, 0)
