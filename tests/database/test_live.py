"""Duty beside dwell, places that are no patrol, and silences of the feed, on both databases."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from app import coverage, delivered
from app.db import Database
from app.errors import Invalid
from app.geo import geojson
from app.geo.duty import DutyRows
from app.geo.dwell import REACH_US
from app.geo.fixes import STATUS, Pings
from app.geo.grid import centres
from app.geo.stays import OFF_DUTY, PLACE
from app.load import load_places
from app.settings import Settings
from app.shifts import HOUR_US, SECOND_US
from app.store import coverage as store
from app.store import pings as stored
from app.store.places import Place, apart, list_places, put_place
from app.store.units import unit_numbers
from tests import town

HOUR = town.MONDAY_HOUR + 8
EIGHT_US = HOUR * HOUR_US
LAT, LON = (float(x[0]) for x in centres(np.array([town.CENTRE])))
STATION = shapely.MultiPolygon([shapely.Point(LON, LAT).buffer(0.0003)])


def add(database: Database, pings: Pings) -> None:
    with database.write() as c:
        numbers = unit_numbers(c, list(town.UNITS), register=True)
        number = np.array([numbers[name] for name in town.UNITS])
        stored.add_pings(c, replace(pings, unit=number[pings.unit]), REACH_US)


def duties(database: Database) -> DutyRows:
    coverage.derive(database, town.RESOLUTION)
    with database.read() as c:
        return store.read_duty(c, HOUR, HOUR + 1)


def test_off_duty_is_kept_beside_dwell_and_is_no_dosage(database: Database) -> None:
    mine = town.PINGS.take(town.PINGS.unit == 0)
    status = np.full(len(mine), STATUS.index("off_duty"), dtype=np.int8)
    status[5:] = STATUS.index("available")  # from 08:05 on
    add(database, replace(mine, status=status))
    rows = duties(database)
    assert rows.duty.tolist() == [1, OFF_DUTY]
    assert rows.stationary_s.tolist() == [300.0, 300.0]
    with database.read() as c:
        assert store.read_dwell(c, HOUR, HOUR + 1).dwell_s.max() == 600.0
        assert store.dosage(c, HOUR, HOUR + 1).dosage_s.max() == 300.0
    # A plan's window counts the same, from what is derived and from pings alone.
    for until_us in (EIGHT_US + 601 * SECOND_US, EIGHT_US + 5 * HOUR_US):
        patrol = coverage.patrol(database, town.RESOLUTION, EIGHT_US, until_us)
        assert patrol.dosage_s.sum() == 300.0


def test_a_new_place_has_all_derived_again(database: Database) -> None:
    add(database, town.PINGS)
    assert len(duties(database)) == 0
    with database.write() as c:
        assert put_place(c, Place("hq", "Headquarters", "station", STATION))
        assert len(store.dirty(c)) > 0
        area = apart(c)
        assert area is not None
        assert area.equals(STATION)
    rows = duties(database)
    assert (rows.duty.tolist(), rows.stationary_s.tolist()) == ([PLACE], [600.0])
    with database.write() as c:
        assert not put_place(c, Place("hq", "Main station", "station", STATION))
        assert len(store.dirty(c)) == 0  # another name changes no dosage


def test_what_is_being_derived_while_a_place_comes_stays_dirty(database: Database) -> None:
    add(database, town.PINGS)
    with database.write() as c:
        todo = store.take_up(c, store.dirty(c))
    with database.write() as c:
        put_place(c, Place("hq", "Headquarters", "station", STATION))
        known = store.read_coverage(c, 0, 1)
        assert store.replace_dwell(c, todo, store.read_dwell(c, 0, 1), known) == 0


def test_duty_is_the_same_in_any_order(database: Database) -> None:
    chance = np.random.default_rng(5)
    status = chance.integers(-1, len(STATUS), len(town.PINGS)).astype(np.int8)
    pings = replace(town.PINGS, status=status)
    for part in np.array_split(chance.permutation(len(pings)), 4):
        add(database, pings.take(part))
        found = duties(database)
    again = coverage.dosed(pings, town.RESOLUTION, None, None)[2]
    again = again.take(again.hour == HOUR)
    for column in fields(DutyRows):
        if column.name != "unit":
            assert np.array_equal(getattr(found, column.name), getattr(again, column.name))


@pytest.mark.parametrize(
    ("from_s", "until_s", "expected"),
    [
        (0, 600, []),
        (0, 1500, []),  # 900 s of silence are not more than 900 s
        (0, 1501, [(600, 1501)]),
        (-1000, 600, [(-1000, 0)]),
        (-800, 600, [(-800, 0)]),  # nobody was ever heard before
        (1000, 1600, [(1000, 1600)]),  # silent since before
        (0, 3700, [(600, 3600)]),  # T-2 drives from 09:00 on
        (3600, 3660, []),
    ],
)
def test_silences(
    database: Database, from_s: int, until_s: int, expected: list[tuple[int, int]]
) -> None:
    add(database, town.PINGS)
    bounds = (EIGHT_US + from_s * SECOND_US, EIGHT_US + until_s * SECOND_US)
    with database.read() as c:
        found = stored.silences(c, *bounds, 900 * SECOND_US)
    seconds = [((a - EIGHT_US) // SECOND_US, (b - EIGHT_US) // SECOND_US) for a, b in found]
    assert seconds == expected


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize("resolution", [9, 10])
def test_what_is_seen_is_the_same_before_and_after_it_is_derived(
    settings: Settings, derived: bool, resolution: int
) -> None:
    database = Database(settings)
    add(database, town.PINGS)
    if derived:
        coverage.derive(database, settings.plan_resolution)
    cell = town.cells_at(np.array([LAT]), np.array([LON]), resolution)
    from_us, until_us = EIGHT_US + 60 * SECOND_US, EIGHT_US + 300 * SECOND_US
    seen = delivered.seen_in(database, settings, [cell], from_us, until_us)
    assert (seen.stays.end_us - seen.stays.start_us).sum() == 240 * SECOND_US
    assert not seen.is_stale(until_us)
    database.close()


def test_places_from_a_file(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "places.geojson"
    properties = {"id": "hq", "name": "Headquarters"}
    file.write_text(geojson.collection([geojson.feature(STATION, properties)]))
    first = load_places(database, file, "station", None, None)
    again = load_places(database, file, "station", None, None)
    assert (first["accepted"], again["accepted"], again["duplicate"]) == (1, 0, 1)
    with database.read() as c:
        (place,) = list_places(c)
    assert (place.id, place.name, place.kind) == ("hq", "Headquarters", "station")
    with pytest.raises(Invalid, match="pub"):
        load_places(database, file, "pub", None, None)
