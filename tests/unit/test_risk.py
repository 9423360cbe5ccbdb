"""Risk on a town of one cell and its six neighbours, with shifts of twelve hours."""

from datetime import date

import h3
import numpy as np
import pytest

from app.geo.grid import Grid, grid_from
from app.geo.risk import (
    SOURCES,
    Component,
    Incidents,
    RiskParameters,
    expected,
    exposure_h,
    known_before,
    share_within,
    spread,
)
from app.geo.rolling import rolling
from app.shifts import DAY_US, HOUR_US, Shift, instances

MIDDLE = int(h3.str_to_int(h3.latlng_to_cell(49.28, -123.12, 9)))
RING = [h3.str_to_int(c) for c in h3.grid_ring(h3.int_to_str(MIDDLE), 1)]
TOWN = grid_from(np.array([MIDDLE, *RING], dtype=np.uint64), 9)
SHIFTS = instances({"day": "06:00", "night": "18:00"}, "UTC", date(2024, 1, 1), date(2024, 4, 10))
START_US = int(SHIFTS.start_us[0])  # 1 January, 06:00
ALL = Component("all", 1.0, float("inf"), same_shift=False, ring=False)
SAME = ALL._replace(name="same", same_shift=True)
HERE = int(np.searchsorted(TOWN.cells, MIDDLE))


def incidents(hours, cells=MIDDLE, to_hours=None, known_hours=None, source="public", category=0):
    """Incidents so many hours after the first shift's start."""
    time_us = START_US + (np.atleast_1d(hours) * HOUR_US).astype(np.int64)
    to_us = time_us if to_hours is None else START_US + np.atleast_1d(to_hours) * HOUR_US
    known_us = to_us if known_hours is None else START_US + np.atleast_1d(known_hours) * HOUR_US
    n = len(time_us)
    return Incidents(
        time_us,
        to_us.astype(np.int64),
        known_us.astype(np.int64),
        np.broadcast_to(np.array(cells, dtype=np.uint64), n).copy(),
        np.broadcast_to(np.array(category, dtype=np.int32), n).copy(),
        np.full(n, SOURCES.index(source), dtype=np.int8),
        ("theft", "robbery"),
    )


def with_parts(*parts, **others):
    return RiskParameters(components=parts, **others)


def risk(found, position, parameters, severity=None, grid=TOWN, until_us=2**62):
    return expected(found, grid, SHIFTS, SHIFTS.at(position), until_us, severity or {}, parameters)


def test_an_undecayed_count_is_the_mean_per_shift():
    # 10 incidents in 100 days, one shift of half a day: 10 / 100 · 0.5 = 0.05.
    found = risk(incidents(np.arange(10.0)), 200, with_parts(ALL))
    assert found.expected_incidents[HERE] == pytest.approx(0.05)
    assert found.expected_incidents.sum() == pytest.approx(0.05)
    assert found.counted == 10


def test_the_same_shift_counts_only_its_own_hours():
    # 4 incidents by day, 6 by night, 100 shifts each: 0.04 and 0.06 a shift.
    found = incidents(np.array([1, 2, 3, 4, 13, 14, 15, 16, 17, 18]))
    day, night = 200, 201
    assert risk(found, day, with_parts(SAME)).expected_incidents[HERE] == pytest.approx(0.04)
    assert risk(found, night, with_parts(SAME)).expected_incidents[HERE] == pytest.approx(
        6 / 101, rel=0.02
    )


def test_the_risk_is_for_this_very_shift_however_long():
    long = Shift("day", int(SHIFTS.start_us[200]), int(SHIFTS.start_us[200]) + DAY_US)
    found = expected(incidents(np.arange(10.0)), TOWN, SHIFTS, long, 2**62, {}, with_parts(ALL))
    assert found.expected_incidents[HERE] == pytest.approx(0.1)


def test_a_steady_stream_has_its_rate_whatever_the_half_life():
    # One incident a day for 100 days is half an incident per half day.
    steady = incidents(np.arange(100) * 24.0 + 6)
    for days in (30, 365):
        found = risk(steady, 200, with_parts(ALL._replace(half_life_days=days)))
        assert found.expected_incidents[HERE] == pytest.approx(0.5, rel=0.02)


def test_a_window_forgets_what_is_older():
    part = ALL._replace(window_days=50)
    assert risk(incidents([0.0]), 200, with_parts(part)).expected_incidents.sum() == 0
    # The incident of day 60 is 40 days old at day 100: 1 / 50 · 0.5.
    assert risk(
        incidents([60 * 24.0]), 200, with_parts(part)
    ).expected_incidents.sum() == pytest.approx(0.01)


def test_nothing_at_or_after_the_start_is_used():
    position = 100  # day 50
    hours = 50 * 24.0
    for late in (
        incidents([hours]),
        incidents([hours - 1], known_hours=[hours]),
        incidents([hours - 1], to_hours=[hours + 1]),
    ):
        assert risk(late, position, with_parts(ALL)).counted == 0
    assert risk(incidents([hours - 0.001]), position, with_parts(ALL)).counted == 1


def test_nothing_after_data_until_is_used():
    assert (
        risk(incidents([10.0]), 200, with_parts(ALL), until_us=START_US + 10 * HOUR_US).counted == 0
    )
    assert (
        risk(incidents([10.0]), 200, with_parts(ALL), until_us=START_US + 11 * HOUR_US).counted == 1
    )


@pytest.mark.parametrize("source", ["officer", "alarm"])
def test_what_officers_find_and_alarms_are_left_out(source):
    assert risk(incidents([5.0], source=source), 200, RiskParameters()).counted == 0
    assert (
        risk(incidents([5.0], source=source), 200, RiskParameters(sources_left_out=())).counted == 1
    )


def test_excluded_categories_are_left_out():
    found = incidents([5.0, 6.0], category=[0, 1])
    assert risk(found, 200, RiskParameters(categories_left_out=("theft",))).counted == 1


def test_harm_is_the_weighted_count():
    # A theft of weight 2 and a robbery of weight 5, each 1 / 100 · 0.5 = 0.005 a shift.
    found = risk(
        incidents([5.0, 6.0], category=[0, 1]), 200, with_parts(ALL), {"theft": 2, "robbery": 5}
    )
    assert found.expected_harm[HERE] == pytest.approx(0.035)


def test_a_category_without_weight_weighs_one():
    found = risk(incidents([5.0]), 200, with_parts(ALL))
    assert found.expected_harm[HERE] == found.expected_incidents[HERE]


def test_the_parts_add_up():
    found = risk(incidents(np.arange(50) * 7.0), 200, RiskParameters(), {"theft": 3})
    assert found.incident_parts.sum(axis=0) == pytest.approx(found.expected_incidents, abs=1e-12)
    assert found.harm_parts.sum(axis=0) == pytest.approx(found.expected_harm, abs=1e-12)


def test_neighbours_share_an_incident_of_the_ring_component():
    # The middle's incident goes to its six neighbours in equal parts; the total stays 0.005.
    found = risk(incidents([5.0]), 200, with_parts(ALL._replace(ring=True))).expected_incidents
    assert found[HERE] == 0
    assert np.delete(found, HERE) == pytest.approx(np.full(6, 0.005 / 6))


def test_a_lonely_cell_keeps_its_count():
    assert spread(np.array([3.0]), np.full((1, 6), -1)).tolist() == [3.0]


def test_an_unknown_hour_is_spread_over_the_day():
    # A whole day from 06:00: half of it by day, half by night.
    found = incidents([0.0], to_hours=[24.0])
    assert share_within(found, SHIFTS, "day").tolist() == [0.5]
    assert share_within(found, SHIFTS, "night").tolist() == [0.5]
    # 12 hours from 12:00: six by day, six by night; and a moment of the night.
    found = incidents([6.0, 13.0], to_hours=[18.0, 13.0])
    assert share_within(found, SHIFTS, "night").tolist() == [0.5, 1.0]
    assert share_within(found, SHIFTS, "swing").tolist() == [0.0, 0.0]


def test_finer_cells_count_for_their_parent():
    child = h3.str_to_int(h3.cell_to_center_child(h3.int_to_str(MIDDLE), 11))
    assert risk(incidents([5.0], cells=child), 200, with_parts(ALL)).expected_incidents[HERE] > 0


def test_incidents_elsewhere_or_nowhere_do_not_count():
    far = h3.str_to_int(h3.latlng_to_cell(0.0, 0.0, 9))
    assert risk(incidents([5.0, 6.0], cells=[far, 0]), 200, RiskParameters()).counted == 0


def test_a_first_incident_yesterday_is_no_rate_of_one_a_day():
    # On the second day, the record counts as 28 days long: 1 / 28 · 0.5.
    found = risk(incidents([5.0]), 2, with_parts(ALL))
    assert found.expected_incidents[HERE] == pytest.approx(1 / 56)


def test_no_incidents_no_cells_no_history():
    none = incidents(np.zeros(0))
    assert risk(none, 200, RiskParameters()).expected_incidents.tolist() == [0] * 7
    empty = Grid(9, *(TOWN.cells[:0], TOWN.lat[:0], TOWN.lon[:0]))
    assert risk(incidents([5.0]), 200, RiskParameters(), grid=empty).expected_harm.shape == (0,)
    nothing = instances({"day": "06:00"}, "UTC", date(2024, 1, 2), date(2024, 1, 1))
    found = expected(incidents([5.0]), TOWN, nothing, SHIFTS.at(5), 2**62, {})
    assert found.counted == 0
    assert known_before(none, 0).shape == (0,)


def test_exposure_by_hand():
    # Ten days on record and a half-life of ten days: 10 / ln 2 · (1 − 1/2) days.
    part = ALL._replace(half_life_days=10)
    hours = exposure_h(
        SHIFTS, START_US + 10 * DAY_US, part, "day", RiskParameters(exposure_floor_days=1)
    )
    assert hours == pytest.approx(240 / np.log(2) / 2)


def test_streaming_gives_what_a_single_shift_gives():
    rng = np.random.default_rng(5)
    hours = np.sort(rng.uniform(0, 2300, 400))
    spans = np.where(rng.random(400) < 0.2, 30.0, 0.0)
    found = incidents(
        hours,
        cells=TOWN.cells[rng.integers(0, 7, 400)],
        to_hours=hours + spans,
        known_hours=hours + spans + rng.choice([0, 50], 400),
        category=rng.integers(0, 2, 400),
    )
    parameters = with_parts(*RiskParameters().components, ALL._replace(window_days=20), SAME)
    for i, parts in rolling(found, TOWN, SHIFTS, range(40, 190, 7), {"theft": 3}, parameters):
        single = risk(found, i, parameters, {"theft": 3})
        assert parts[0] == pytest.approx(single.incident_parts, abs=1e-12)
        assert parts[1] == pytest.approx(single.harm_parts, abs=1e-12)
