import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely

from app import simulate
from app.geo.fixes import STATUS
from app.geo.grid import cells_at, grid_from, index_of
from app.shifts import DAY_US, HOUR_US, SECOND_US
from app.simulate.boxes import BOXES
from app.simulate.streets import degrees

TOWN = simulate.town(7)
FROM_US = 1_751_328_000 * SECOND_US  # 2025-07-01T00:00:00Z, a Tuesday
WEEK_US = FROM_US + 7 * DAY_US
PLAIN = simulate.Reporting()


@functools.cache
def _paths() -> simulate.Paths:
    return simulate.patrol(TOWN, FROM_US, WEEK_US)


# -- motion and truth -----------------------------------------------------------------------


def test_paths_tile_the_interval_for_every_car() -> None:
    paths = _paths()
    for unit in range(12):
        mine = np.flatnonzero(paths.unit == unit)
        assert paths.start_us[mine[0]] == FROM_US
        assert paths.end_us[mine[-1]] == WEEK_US
        assert (paths.start_us[mine[1:]] == paths.end_us[mine[:-1]]).all()
        jumps = np.abs(paths.x_m[mine[1:]] - paths.to_x_m[mine[:-1]])
        jumps += np.abs(paths.y_m[mine[1:]] - paths.to_y_m[mine[:-1]])
        assert jumps.max() < 1e-6


def test_four_cars_are_on_duty_at_noon_and_each_one_works_a_shift_a_day() -> None:
    paths = _paths()
    noon_us = FROM_US + np.arange(7) * DAY_US + 16 * HOUR_US  # 12:00 in Toronto in July
    for t in noon_us:
        now = (paths.start_us <= t) & (t < paths.end_us)
        duty = now & (paths.activity != simulate.ACTIVITIES.index("off_duty"))
        assert duty.sum() == 4


def test_cars_cruise_drive_hurry_and_park() -> None:
    paths = _paths()
    took_s = (paths.end_us - paths.start_us) / SECOND_US
    far_m = np.hypot(paths.to_x_m - paths.x_m, paths.to_y_m - paths.y_m)
    speed = far_m / took_s
    activity = np.array(simulate.ACTIVITIES)[paths.activity]
    moving = far_m > 100  # whole blocks
    assert np.median(speed[moving & (activity == "enroute")]) == pytest.approx(18.0, rel=0.05)
    assert 7.5 < np.median(speed[moving & (activity == "patrol")]) < 11
    assert speed.max() < 40
    visits_s = took_s[(activity == "visit") & (far_m == 0)]
    assert visits_s.min() > 0
    assert 180 < np.median(visits_s) < 960


def test_truth_adds_up() -> None:
    paths = _paths()
    dwell = simulate.true_dwell(TOWN, paths, 9)
    per_unit = np.bincount(dwell.unit, dwell.dwell_s, 12)
    assert per_unit == pytest.approx(np.full(12, 7 * 86_400.0), abs=1e-6)
    assert (dwell.on_duty_s <= dwell.dwell_s).all()
    assert np.bincount(dwell.hour - dwell.hour.min(), dwell.dwell_s) == pytest.approx(
        np.full(7 * 24, 12 * 3_600.0), abs=1e-6
    )
    order = np.lexsort((dwell.cell, dwell.unit, dwell.hour))
    assert (order == np.arange(len(dwell))).all()


def test_truth_agrees_with_counting_tenths_of_a_second() -> None:
    # Each tenth of a second belongs to the cell at its middle: right to 0.05 s at each border.
    paths = simulate.patrol(TOWN, FROM_US + 12 * HOUR_US, FROM_US + 14 * HOUR_US)
    moving = np.flatnonzero((paths.x_m != paths.to_x_m) | (paths.y_m != paths.to_y_m))
    took_s = (paths.end_us - paths.start_us)[moving] / SECOND_US
    count = np.ceil(took_s * 10).astype(np.int64)
    of = np.repeat(np.arange(len(moving)), count)
    share = (np.concatenate([np.arange(n) for n in count]) + 0.5) / count[of]
    piece = moving[of]
    x_m = paths.x_m[piece] + share * (paths.to_x_m - paths.x_m)[piece]
    y_m = paths.y_m[piece] + share * (paths.to_y_m - paths.y_m)[piece]
    cell = cells_at(*degrees(TOWN.streets, x_m, y_m), 9)
    grid = grid_from(cell, 9)
    counted_s = np.bincount(index_of(grid, cell), (took_s / count)[of], len(grid))
    dwell = simulate.true_dwell(TOWN, paths, 9)
    at = index_of(grid, dwell.cell)
    true_s = np.bincount(at[at >= 0], dwell.moving_s[at >= 0], len(grid))
    assert counted_s.sum() == pytest.approx(dwell.moving_s.sum(), abs=1.0)
    # Some 600 borders, each missed by 0.025 s on average, in two cells.
    assert np.abs(true_s - counted_s).sum() < 30.0


def test_truth_of_a_handmade_way() -> None:
    # One car stands 90 minutes at the station, across a full hour: 60 and 30 minutes there.
    still = simulate.paths_of(TOWN, [], FROM_US, FROM_US + 3 * HOUR_US // 2)
    dwell = simulate.true_dwell(TOWN, still, 9)
    assert dwell.dwell_s == pytest.approx(np.repeat([3_600.0, 1_800.0], 12))
    assert not dwell.on_duty_s.any()
    assert len(simulate.true_dwell(TOWN, simulate.paths_of(TOWN, [], FROM_US, FROM_US), 9)) == 0


# -- reports --------------------------------------------------------------------------------


def _tour() -> simulate.Track:
    return next(t for t in simulate.tours(TOWN, FROM_US, FROM_US + DAY_US) if t.unit == 0)


def _reports(**changes: Any) -> simulate.Reports:
    rng = np.random.default_rng(3)
    return simulate.report(TOWN, _tour(), replace(PLAIN, **changes), rng)


def _gaps_s(reports: simulate.Reports) -> np.ndarray:
    return np.diff(np.sort(reports.pings.time_us)) / SECOND_US


@pytest.mark.parametrize("interval_s", [5, 10, 15, 30, 60, 120])
def test_a_plain_box_reports_at_its_interval(interval_s: float) -> None:
    assert set(_gaps_s(_reports(interval_s=interval_s)).tolist()) == {interval_s}


def test_a_box_that_slows_when_parked_reports_departures() -> None:
    slow, even = _reports(parked_s=600.0), _reports()
    assert len(slow) < 0.8 * len(even)
    assert _gaps_s(slow).max() <= 615  # 600 s, and up to one interval until the clock hits it
    assert np.median(_gaps_s(slow)) == 15


def test_a_curve_based_box_reports_turns_and_few_points_between() -> None:
    curve = _reports(interval_s=100.0, parked_s=600.0, curve=True, noise_m=0.0)
    assert len(curve) < 0.6 * len(_reports(interval_s=10.0))
    exact = _reports(interval_s=7.0, noise_m=0.0)
    order = np.argsort(curve.pings.time_us)
    chain = shapely.LineString(_plane_m(curve)[order])
    inside = exact.pings.time_us <= curve.pings.time_us.max()
    # A line through the turns alone follows the streets; a fix is made at a whole second, so up
    # to 18 m before the turn of a car that hurries.
    off_m = shapely.distance(shapely.points(_plane_m(exact)[inside]), chain)
    assert off_m.max() < 18
    assert np.median(off_m) < 1


def _plane_m(reports: simulate.Reports) -> np.ndarray:
    pings = reports.pings
    return np.column_stack([pings.lon * np.cos(np.radians(44.48)), pings.lat]) * 111_120


def _by_time(reports: simulate.Reports) -> np.ndarray:
    return _plane_m(reports)[np.argsort(reports.pings.time_us)]


def test_noise_has_its_size_and_its_memory() -> None:
    exact, noisy = _reports(noise_m=0.0, interval_s=5.0), _reports(noise_m=5.0, interval_s=5.0)
    error_m = _by_time(noisy)[:, 1] - _by_time(exact)[:, 1]
    # Eight hours hold some 480 independent errors: the estimate is within 10 %.
    assert error_m.std() == pytest.approx(5.0, rel=0.15)
    lag = np.corrcoef(error_m[12:], error_m[:-12])[0, 1]  # 60 s = one memory: exp(-1) = 0.37
    assert lag == pytest.approx(np.exp(-1), abs=0.12)


def test_reports_arrive_in_order_after_their_fix() -> None:
    reports = simulate.pings(TOWN, FROM_US, FROM_US + DAY_US)
    assert (np.diff(reports.sent_us) >= 0).all()
    delay_s = (reports.sent_us - reports.pings.time_us) / SECOND_US
    assert delay_s.min() > 0
    assert delay_s.max() < 3_600
    assert (delay_s > 10).any()  # some come late


def test_each_fault_can_be_met() -> None:
    assert _gaps_s(_reports(silences_per_h=0.5)).max() >= 300
    twice = _reports(duplicate_share=0.1)
    _, counts = np.unique(twice.pings.time_us, return_counts=True)
    assert set(counts.tolist()) == {1, 2}
    spiky, plain = _reports(spike_share=0.01), _reports()
    off_m = np.abs(_by_time(spiky) - _by_time(plain)).max(axis=1)
    assert 5 < (off_m > 150).sum() < 50  # 1 in 100 of some 1,900 reports
    frozen = _reports(frozen_per_h=2.0)
    order = np.argsort(frozen.pings.time_us)
    lat = frozen.pings.lat[order]
    runs = [len(list(run)) for _, run in itertools.groupby(lat.tolist())]
    assert 3 <= max(runs) <= 10
    held = _reports(static_hold=True)
    same = np.diff(held.pings.lat[np.argsort(held.pings.time_us)]) == 0
    assert same.mean() > 0.2  # parked and waiting at lights


def test_radio_holes_hear_nothing() -> None:
    box = replace(PLAIN, interval_s=5.0, noise_m=0.0)
    x_from, y_from, x_to, y_to = TOWN.holes[0]
    corners = degrees(
        TOWN.streets,
        np.array([x_from, x_to, x_to, x_from]),
        np.array([y_from, y_from, y_to, y_to]),
    )
    hole = shapely.Polygon(np.column_stack([corners[1], corners[0]]))
    open_air = simulate.pings(TOWN, FROM_US, FROM_US + 2 * DAY_US, box).pings
    shaded = simulate.pings(TOWN, FROM_US, FROM_US + 2 * DAY_US, replace(box, holes=True)).pings
    assert shapely.contains_xy(hole, open_air.lon, open_air.lat).any()
    assert not shapely.contains_xy(hole, shaded.lon, shaded.lat).any()


def test_only_what_a_box_sends_is_there() -> None:
    reports = simulate.pings(TOWN, FROM_US, FROM_US + DAY_US)
    for unit, box in enumerate(BOXES):
        mine = reports.pings.take(reports.pings.unit == unit)
        assert len(mine) > 100
        assert np.isnan(mine.speed_mps).all() != box.sends_speed
        assert np.isnan(mine.accuracy_m).all() != box.sends_accuracy
        assert (mine.status == -1).all() != box.sends_status
    said = {STATUS[code] for code in np.unique(reports.pings.status) if code >= 0}
    assert said == {"available", "enroute", "on_scene", "busy", "off_duty"}


def test_call_signs_name_cars() -> None:
    assert [unit.unit_id for unit in TOWN.units] == [f"P-{k:02d}" for k in range(1, 13)]
