"""Dwell on tracks whose truth fits in the head. One degree of latitude is 111.2 km."""

from dataclasses import fields, replace

import h3.api.numpy_int as h3
import numpy as np
import pytest

from app.geo import lattice
from app.geo.dwell import (
    Dwell,
    DwellParameters,
    coverage_summary,
    dwell_of,
    dwell_parts,
)
from app.geo.fixes import Pings, concat, no_pings, pings_of
from app.geo.grid import cells_at, centres, neighbour_cells
from app.shifts import HOUR_US, SECOND_US
from tests import town

HOUR = town.MONDAY_HOUR + 8
START_US = HOUR * HOUR_US  # a full hour
M = 1 / 111_195  # degrees of latitude in a metre
LAT, LON = (float(x[0]) for x in centres(np.array([town.CENTRE])))  # the middle of a cell


def track(*steps: tuple[float, float], unit: int = 1, lat: float = LAT, lon: float = LON) -> Pings:
    """Pings at (seconds, metres north) of the start."""
    seconds, north = np.array(steps, dtype=np.float64).T
    time_us = START_US + (seconds * SECOND_US).astype(np.int64)
    return pings_of(np.full(len(steps), unit), time_us, lat + north * M, np.full(len(steps), lon))


def stands(
    seconds: int, every: int = 60, north: float = 0.0, after: int = 0
) -> list[tuple[float, float]]:
    return [(after + s, north) for s in range(0, seconds + 1, every)]


def by_cell(dwell: Dwell) -> dict[int, float]:
    return {
        int(cell): float(dwell.dwell_s[dwell.cell == cell].sum())
        for cell in np.unique(dwell.cell[dwell.dwell_s > 0])
    }


def test_the_town() -> None:
    dwell, coverage = dwell_of(town.PINGS, town.RESOLUTION)
    # T-1 stands 600 s in the middle; T-2 drives 60 s over WEST, CENTRE and EAST: 15, 30, 15 s.
    assert coverage.unit.tolist() == [0, 1]
    assert coverage.observed_s.tolist() == [600.0, 60.0]
    assert coverage.unobserved_s.tolist() == [0.0, 0.0]
    assert coverage.pings.tolist() == coverage.kept.tolist() == [11, 7]
    first = dwell.unit == 0
    assert dwell.cell[first].tolist() == [town.CENTRE]
    assert dwell.stationary_s[first].tolist() == [600.0]
    found = dict(zip(dwell.cell[~first].tolist(), dwell.dwell_s[~first].tolist(), strict=True))
    expected = {int(town.WEST): 15.0, int(town.CENTRE): 30.0, int(town.EAST): 15.0}
    assert found == pytest.approx(expected, abs=0.1)


def test_who_stands_far_from_any_border_is_known_exactly() -> None:
    dwell, _ = dwell_of(track(*stands(600)), 9)  # 170 m from the border, 5 m of noise
    assert (
        dwell.dwell_low_s.tolist()
        == dwell.dwell_s.tolist()
        == dwell.dwell_high_s.tolist()
        == [600.0]
    )


def test_an_hours_end_splits_time() -> None:
    dwell, coverage = dwell_of(track(*stands(600, after=3300)), 9)
    assert dwell.hour.tolist() == coverage.hour.tolist() == [HOUR, HOUR + 1]
    assert dwell.dwell_s.tolist() == coverage.observed_s.tolist() == [300.0, 300.0]
    # The step from 3590 s to 3610 s lies 10 s in each hour.
    dwell, _ = dwell_of(track(*stands(40, every=20, after=3570)), 9)
    assert dwell.dwell_s.tolist() == [30.0, 10.0]


def test_an_hour_knows_of_the_next_no_more_than_its_first_fix() -> None:
    # Parked over the hour's end; whether the next hour's fixes make a stop is that hour's affair.
    stop = track(*stands(200, every=40, after=3390), (3640, 3), (3660, 3), (3700, 3))
    for fewer in (2, 1):
        more, _ = dwell_of(stop, 10)
        less, _ = dwell_of(stop.take(slice(0, -fewer)), 10)
        for column in fields(Dwell):
            one, other = getattr(more, column.name), getattr(less, column.name)
            assert one[more.hour == HOUR].tolist() == other[less.hour == HOUR].tolist()


def test_states_go_by_speed() -> None:
    # 60 s at 1 m/s are stationary, at 5 m/s slow patrol, at 20 m/s transit.
    for speed, state in ((1, "stationary_s"), (5, "slow_s"), (20, "transit_s")):
        dwell, _ = dwell_of(track(*((10 * k, 10 * k * speed) for k in range(7))), 9)
        assert dwell.dwell_s.sum() == pytest.approx(60.0)
        assert getattr(dwell, state).sum() == pytest.approx(60.0)


def test_who_leaves_a_stop_stands_until_the_pace_of_the_next_way_suffices() -> None:
    # 5 minutes at a place; a minute later 300 m on, then at 10 m/s: the 300 m took 30 s, so the
    # car stood 330 s and went for 90 s.
    dwell, _ = dwell_of(track(*stands(300), (360, 300), (420, 900)), 9)
    assert dwell.stationary_s.sum() == pytest.approx(330.0)
    assert dwell.slow_s.sum() == pytest.approx(90.0)
    # The same backwards in time: it arrives 30 s after the last ping on its way.
    dwell, _ = dwell_of(track((0, 900), (60, 300), *stands(300, after=120)), 9)
    assert dwell.stationary_s.sum() == pytest.approx(330.0)


def test_noise_does_not_carry_a_parked_car_over_a_border() -> None:
    # Halfway between two cells' centres lies their border. Fixes 4 m to the north of a place 3 m
    # north of it, and 4 m to the south, which is beyond: on average the car is north.
    south, north = LAT, float(centres(neighbour_cells(np.array([town.CENTRE]))[0])[0].max())
    lon = float(
        centres(neighbour_cells(np.array([town.CENTRE]))[0])[1][
            centres(neighbour_cells(np.array([town.CENTRE]))[0])[0].argmax()
        ]
    )
    border_lat, border_lon = (south + north) / 2, (LON + lon) / 2
    fixes = [(60.0 * k, 3.0 + (4.0 if k % 2 else -4.0)) for k in range(10)]
    dwell, _ = dwell_of(track(*fixes, lat=border_lat, lon=border_lon), 9)
    assert list(by_cell(dwell).values()) == [540.0]
    # It may well have been south of the border: no second is certain, and all may be the other's.
    assert len(dwell) == 2
    visited = dwell.dwell_s > 0
    assert dwell.dwell_low_s[visited].tolist() == [0.0]
    assert dwell.dwell_s[~visited].tolist() == [0.0]
    assert dwell.dwell_high_s[~visited].tolist() == [540.0]


def test_a_parked_box_is_believed_for_fifteen_minutes() -> None:
    for gap_s, observed_s in ((600, 600.0), (900, 900.0), (901, 0.0)):
        _, coverage = dwell_of(track((0, 0), (gap_s, 50)), 9)  # 50 m apart: near
        assert coverage.observed_s.tolist() == [observed_s]
        assert coverage.unobserved_s.tolist() == [gap_s - observed_s]


def test_a_box_that_fell_silent_stood_until_it_had_to_leave() -> None:
    # Silent for 600 s, seen again 50 m on and going 10 m/s: it left 5 s before.
    dwell, _ = dwell_of(track((0, 0), (600, 50), (610, 150)), 9)
    assert dwell.stationary_s.sum() == pytest.approx(595.0)
    assert dwell.slow_s.sum() == pytest.approx(15.0)


def test_a_moving_gap_is_believed_for_three_minutes() -> None:
    for gap_s, observed_s in ((180, 180.0), (181, 0.0)):
        _, coverage = dwell_of(track((0, 0), (gap_s, 1000)), 9)
        assert coverage.observed_s.tolist() == [observed_s]
    # 10 km in 180 s are 55.6 m/s: no car does that, so nobody knows what happened.
    _, coverage = dwell_of(track((0, 0), (180, 10_000)), 9)
    assert coverage.unobserved_s.tolist() == [180.0]


def test_forty_silent_minutes_on_the_move_are_unobserved() -> None:
    pings = track((0, 0), (10, 100), (2410, 20_000), (2420, 20_100))
    dwell, coverage = dwell_of(pings, 9)
    assert dwell.dwell_s.sum() == pytest.approx(20.0)
    # Too long for an hour to know of: 2,400 s are more than the 1,500 s that rows tell of.
    assert coverage.unobserved_s.sum() == 0.0
    assert coverage_summary(pings, coverage) == {
        "pings": 4,
        "kept": 4,
        "set_aside": {},
        "observed_s": 20.0,
        "unobserved_s": 2400.0,
        "span_s": 2420.0,
    }
    _, coverage = dwell_of(track((0, 0), (10, 100), (1510, 20_000)), 9)
    assert coverage.unobserved_s.sum() == 1500.0


def test_a_motorway_at_one_ping_a_minute() -> None:
    # 100 km/h for 40 km are 24 minutes.
    north = [(60 * k, 60 * k / 3.6 * 100) for k in range(25)]
    dwell, coverage = dwell_of(track(*north), 9)
    assert coverage.observed_s.sum() == pytest.approx(1440.0)
    assert dwell.transit_s.sum() == pytest.approx(1440.0)
    every_10_m = LAT + np.arange(0, 40_000, 10) * M
    crossed = np.unique(cells_at(every_10_m, np.full(len(every_10_m), LON), 9))
    assert set(crossed.tolist()) <= set(dwell.cell[dwell.dwell_s > 0].tolist())


def test_bad_pings_are_counted_and_used_for_nothing() -> None:
    good, bad = track(*stands(300)), track((90, 9000), (150, 9000))
    nowhere = pings_of(np.array([7]), np.array([START_US]), np.array([np.nan]), np.array([LON]))
    pings = concat([good, good, bad, nowhere])
    dwell, coverage = dwell_of(pings, 9)
    assert dwell.dwell_s.tolist() == [300.0]
    assert coverage.unit.tolist() == [1, 7]
    assert coverage.pings.tolist() == [14, 1]
    assert coverage.kept.tolist() == [6, 0]
    summary = coverage_summary(pings, coverage)
    assert summary["set_aside"] == {"no_position": 1, "duplicate": 6, "spike": 2}
    assert (summary["kept"], summary["span_s"], summary["unobserved_s"]) == (6, 300.0, 0.0)


def test_nothing_gives_nothing() -> None:
    for pings in (no_pings(), track((0, np.nan))):
        dwell, coverage = dwell_of(pings, 9)
        assert len(dwell) == 0
        assert coverage.pings.sum() == len(pings)
        assert coverage_summary(pings, coverage)["span_s"] == 0.0
    assert dwell.cell.dtype == np.uint64
    assert dwell.hour.dtype == dwell.unit.dtype == coverage.pings.dtype == np.int64
    assert dwell.dwell_s.dtype == coverage.observed_s.dtype == np.float64


def test_only_time_in_an_interval_counts() -> None:
    pings = track(*stands(600))
    dwell, coverage = dwell_of(pings, 9, between_us=(START_US + 90 * SECOND_US, START_US + HOUR_US))
    assert dwell.dwell_s.tolist() == coverage.observed_s.tolist() == [510.0]
    assert coverage.pings.tolist() == [9]  # those from 120 s on
    dwell, coverage = dwell_of(pings, 9, between_us=(START_US + HOUR_US, START_US + 2 * HOUR_US))
    assert len(dwell) == len(coverage) == 0


def test_rows_are_sorted_and_parts_hold_the_same() -> None:
    pings = concat([town.PINGS, track(*stands(600, after=3300), unit=5), track((0, 0), unit=3)])
    dwell, coverage = dwell_of(pings, 9)
    order = np.lexsort((dwell.cell, dwell.unit, dwell.hour))
    assert order.tolist() == list(range(len(dwell)))
    assert np.lexsort((coverage.unit, coverage.hour)).tolist() == list(range(len(coverage)))
    ((part, known),) = dwell_parts(pings, 9)
    for column in fields(Dwell):
        assert getattr(part, column.name).tolist() == getattr(dwell, column.name).tolist()
    assert known.unit.tolist() == coverage.unit.tolist()


def test_a_cell_on_an_edge_of_the_icosahedron_has_one_row() -> None:
    # The middle of two neighbouring faces' centres lies on their edge; there a car goes to and fro.
    centre = lattice._faces().centre
    nearest = np.argsort(centre @ centre[0])[-2]
    x, y, z = (centre[0] + centre[nearest]) / np.linalg.norm(centre[0] + centre[nearest])
    lat, lon = np.degrees(np.arcsin(z)), np.degrees(np.arctan2(y, x))
    pings = track(*((10 * k, 60 * k if k % 2 else -60 * k) for k in range(5)), lat=lat, lon=lon)
    dwell, coverage = dwell_of(pings, 9)
    faces = lattice.project(lattice.unit_vectors(pings.lat, pings.lon), 9).face
    assert len(np.unique(faces)) == 2
    assert len(np.unique(dwell.cell)) == len(dwell)
    assert dwell.dwell_s.sum() == pytest.approx(coverage.observed_s.sum()) == 40.0
    assert h3.latlng_to_cell(lat, lon, 9) in dwell.cell


def test_the_interval_widens_with_the_refresh_rate() -> None:
    widths = []
    for every in (10, 30, 60, 120):
        dwell, _ = dwell_of(track(*((t, 8 * t) for t in range(0, 1201, every))), 9)
        widths.append((dwell.dwell_high_s - dwell.dwell_low_s).sum())
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] / 2


def test_parameters_matter() -> None:
    pings = track((0, 0), (100, 1000))
    strict = DwellParameters()
    strict = replace(strict, ways=replace(strict.ways, moving_gap_s=90.0))
    assert dwell_of(pings, 9, strict)[1].unobserved_s.tolist() == [100.0]
