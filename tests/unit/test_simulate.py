import functools
import hashlib
import itertools
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from app import simulate
from app.geo.grid import cells_at, grid_of, index_of
from app.shifts import DAY_US, HOUR_US, SECOND_US, zone
from app.simulate.hotspots import hourly_of
from app.simulate.records import CATEGORIES
from app.simulate.streets import degrees, in_town, nearest_corner, way

TOWN = simulate.town(7)
ROOT = Path(__file__).parents[2]
FROM_US = 1_751_328_000 * SECOND_US  # 2025-07-01T00:00:00Z, a Tuesday


def _digest(columns: Any) -> str:
    whole = hashlib.sha256()
    for column in columns:
        whole.update(np.ascontiguousarray(column).tobytes())
    return whole.hexdigest()


def _columns(table: Any) -> list[Any]:
    return [getattr(table, field.name) for field in fields(table)]


def _local(time_us: np.ndarray) -> list[datetime]:
    where = zone("America/Toronto")
    return [datetime.fromtimestamp(t / SECOND_US, UTC).astimezone(where) for t in time_us]


# -- the place ------------------------------------------------------------------------------


def test_the_town_is_about_8_by_8_km_with_a_corner_of_water() -> None:
    # 8 km x 8 km = 64 km²; the bay takes 1.8 km x 2.0 km = 3.6 km² of it.
    whole = TOWN.districts[0].polygon
    lat, lon = np.radians(44.48), -79.80
    metres = shapely.transform(
        whole,
        lambda at: (at - [lon, 44.48]) * [111_320.0 * np.cos(lat), 111_120.0],
    )
    assert metres.area / 1e6 == pytest.approx(60.4, rel=0.005)


def test_two_beats_share_the_town_out() -> None:
    whole, west, east = TOWN.districts
    assert (west.parent, east.parent, whole.parent) == (whole.id, whole.id, None)
    union = west.polygon.union(east.polygon)
    assert union.symmetric_difference(whole.polygon).area < 1e-5 * whole.polygon.area
    assert west.polygon.intersection(east.polygon).area < 1e-5 * whole.polygon.area


def test_a_way_has_one_turn_and_stays_out_of_the_bay() -> None:
    streets = TOWN.streets
    south = nearest_corner(streets, 2_000.0, -3_800.0)  # west of the bay
    east = nearest_corner(streets, 3_800.0, -1_800.0)  # north of it
    for x_first in (True, False):
        columns, rows = way(streets, south, east, x_first)
        assert (columns[-1], rows[-1]) == east
        assert in_town(streets, streets.x_m[columns], streets.y_m[rows]).all()
        steps = np.abs(np.diff(columns, prepend=south[0])) + np.abs(np.diff(rows, prepend=south[1]))
        assert (steps == 1).all()
    assert len(way(streets, south, south, x_first=True)[0]) == 0


def test_a_degree_of_latitude_has_its_known_length() -> None:
    # At 45° a degree of latitude is 111,132 m and one of longitude 78,847 m (NGA.STND.0036).
    streets = replace(TOWN.streets, lat=45.0, lon=0.0, turn_deg=0.0)
    lat, lon = degrees(streets, np.array([78_847.0]), np.array([111_132.0]))
    assert lat[0] == pytest.approx(46.0, abs=1e-4)
    assert lon[0] == pytest.approx(1.0, abs=1e-4)


def test_an_hourly_profile_sums_to_a_week_and_runs_past_midnight() -> None:
    hourly = hourly_of(2.0, (((6,), 23, 25),), quiet=0.0)
    # Sunday 23:00 and Monday 00:00 alone: 14 incidents a week, 7 in each hour.
    assert hourly.sum() == pytest.approx(14.0)
    assert np.flatnonzero(hourly).tolist() == [0, 167]
    assert hourly[0] == pytest.approx(7.0)


@pytest.mark.parametrize("spot", TOWN.hot_spots, ids=lambda spot: spot.name)
def test_a_hot_spot_draws_known_categories(spot: Any) -> None:
    assert sum(spot.mix.values()) == pytest.approx(1.0)
    assert set(spot.mix) <= set(CATEGORIES)


# -- incidents ------------------------------------------------------------------------------


@functools.cache
def _year() -> simulate.Records:
    return simulate.incidents(TOWN, FROM_US, FROM_US + 365 * DAY_US)


def test_records_make_sense_by_themselves() -> None:
    year = _year()
    assert len(set(year.incident_id.tolist())) == len(year)
    assert (year.occurred_from_us <= year.occurred_to_us).all()
    assert (year.occurred_to_us <= year.reported_at_us).all()
    assert (year.happened_us - year.occurred_from_us >= 0).all()
    assert (np.diff(year.reported_at_us) >= 0).all()
    spans = year.occurred_to_us > year.occurred_from_us
    assert set(year.category[spans].tolist()) == {
        "theft",
        "theft from vehicle",
        "break and enter",
        "mischief",
    }
    assert set(year.source.tolist()) == {"public", "officer", "alarm"}
    turned = (year.category != year.final_category).mean()
    assert 0.02 < turned < 0.08


def test_every_incident_lies_in_the_district() -> None:
    year = _year()
    assert shapely.contains_xy(TOWN.districts[0].polygon, year.lon, year.lat).all()


def test_the_year_brings_what_was_planted() -> None:
    year = _year()
    # Background 18, wave 1.5 x 1.7 with near-repeats, hot spots 19.6 a day: 40.15. A year's
    # Poisson count has a standard deviation of 121, the weekly levels add as much again.
    planted = 18.0 + 1.5 * 1.7 + sum(spot.per_day for spot in TOWN.hot_spots)
    assert len(year) / 365 == pytest.approx(planted, rel=0.04)


def test_the_bar_strip_is_hot_on_friday_and_saturday_nights() -> None:
    year = _year()
    bar = [spot.name for spot in TOWN.hot_spots].index("bar strip")
    when = _local(year.happened_us[year.origin == bar])
    # 12 of 168 hours at weight 1, 156 at 0.08: 12 / (12 + 12.48) = 49 % of all in 7 % of time.
    nights = [
        (t.weekday() in (4, 5) and t.hour >= 21) or (t.weekday() in (5, 6) and t.hour < 3)
        for t in when
    ]
    assert np.mean(nights) == pytest.approx(12 / 24.48, abs=0.03)


def test_the_busiest_cell_moves_with_the_hour() -> None:
    year = _year()
    # At each hot spot's hours its own cell, or a neighbour, leads a grid of resolution 8.
    grid = grid_of(TOWN.districts[0].polygon, 8)
    cell = index_of(grid, cells_at(year.lat, year.lon, 8))
    when = _local(year.happened_us)
    asked = {
        "bar strip": lambda t: t.weekday() in (4, 5) and t.hour >= 22,
        "shopping mall": lambda t: t.weekday() < 6 and 12 <= t.hour < 16,
    }
    for name, hours in asked.items():
        spot = next(spot for spot in TOWN.hot_spots if spot.name == name)
        chosen = np.array([hours(t) for t in when]) & (cell >= 0)
        lat, lon = degrees(TOWN.streets, np.array([spot.x_m]), np.array([spot.y_m]))
        leader = np.bincount(cell[chosen], minlength=len(grid)).argmax()
        away_m = np.hypot(
            (grid.lat[leader] - lat[0]) * 111_000, (grid.lon[leader] - lon[0]) * 79_000
        )
        assert away_m < 700  # a cell of resolution 8 reaches 530 m from its centre


def test_the_burglary_wave_wanders_and_repeats_near_by() -> None:
    year = _year()
    wave = year.take(year.origin == simulate.WAVE)
    assert set(wave.category.tolist()) == {"break and enter"}
    # After three weeks it has gone on to the next place.
    first = FROM_US // DAY_US
    path = np.array([simulate.wave_centre(TOWN, first + k) for k in range(0, 365, 7)])
    assert np.ptp(path, axis=0).min() > 1_500
    # Pairs within 200 m follow one another within two weeks far more often than by chance: of
    # all pairs of a year, 1 - (351/365)² = 7.5 % lie within 14 days.
    order = np.argsort(wave.happened_us)
    at_us, x, y = wave.happened_us[order], wave.x_m[order], wave.y_m[order]
    i, j = np.triu_indices(len(at_us), 1)
    near = np.hypot(x[i] - x[j], y[i] - y[j]) < 200
    soon = at_us[j] - at_us[i] < 14 * DAY_US
    assert soon[near].mean() > 4 * soon.mean() > 0.2


# -- chance ---------------------------------------------------------------------------------


def test_live_goes_on_where_history_ends() -> None:
    start_us = FROM_US + 20 * HOUR_US
    clock = iter([start_us, start_us + 7 * SECOND_US, start_us + HOUR_US, start_us + 4 * HOUR_US])
    steps = list(itertools.islice(simulate.live(TOWN, start_us, lambda: next(clock)), 4))
    assert len(steps[0]) == 0
    assert 0 < len(steps[1]) < 60
    history = simulate.pings(TOWN, FROM_US, start_us)
    known = history.take(history.sent_us <= start_us)
    whole = simulate.pings(TOWN, FROM_US, start_us + 5 * HOUR_US)
    expected = whole.take(whole.sent_us <= start_us + 4 * HOUR_US)
    assert len(known) + sum(len(step) for step in steps) == len(expected)
    together = np.concatenate([known.sent_us, *(step.sent_us for step in steps)])
    assert (together == expected.sent_us).all()
    lat = np.concatenate([known.pings.lat, *(step.pings.lat for step in steps)])
    assert (lat == expected.pings.lat).all()


_PROGRAM = """
from tests.unit.test_simulate import _everything
print(_everything())
"""


def _everything() -> str:
    town = simulate.town(7)
    until_us = FROM_US + DAY_US
    reports = simulate.pings(town, FROM_US, until_us)
    return _digest(
        [
            town.streets.x_m,
            *_columns(simulate.incidents(town, FROM_US, until_us)),
            *_columns(reports.pings),
            reports.sent_us,
            *_columns(simulate.patrol(town, FROM_US, until_us)),
        ]
    )


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    environment = {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert other.stdout.strip() == _everything()


def test_another_seed_gives_another_town() -> None:
    year = _year()
    other = simulate.incidents(simulate.town(8), FROM_US, FROM_US + DAY_US)
    assert _digest(_columns(other)[:7]) != _digest(_columns(year)[:7])
    assert simulate.town(8).hot_spots[0].x_m != TOWN.hot_spots[0].x_m
