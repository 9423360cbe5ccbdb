"""A made-up city of 10,267 cells with one plan, two thousand incidents and forty units."""

from dataclasses import replace

import h3
import numpy as np
import shapely

from app import features
from app.db import Database
from app.geo import geojson
from app.geo.fixes import Pings, pings_of
from app.geo.grid import cells_at, to_text
from app.shifts import HOUR_US, SECOND_US
from app.store import districts, incidents, pings, plans, units
from app.store.columns import ABSENT
from app.store.plans import Plan, PlanCells, PlanZone

LAT, LON, RINGS = 49.26, -123.1, 58  # 1 + 3 * 58 * 59 = 10,267 cells
START_US = 1_700_031_600 * SECOND_US  # 2023-11-15T07:00:00Z
PLAN = "0b7d7a3c-3f5e-4a53-9c4e-6f1f3ad3f0aa"
ZONES, UNITS, INCIDENTS = 12, 40, 2000
AREA = shapely.box(-124, 48.6, -122, 49.9)


def fill(database: Database) -> None:
    """Stores the city."""
    rng = np.random.default_rng(7)
    cells = disk()
    figures = [np.round(rng.random(len(cells)), 6) for _ in range(5)]
    plan, of_cells = plan_of(cells), PlanCells(cells, *figures)
    with database.write() as c:
        city = districts.District(
            "city", "City", "America/Vancouver", {"day": "07:00", "night": "19:00"},
            shapely.MultiPolygon([AREA]),
        )  # fmt: skip
        districts.put_district(c, city)
        plans.add_plan(c, plan, of_cells)
        features.add_features(c, plan, of_cells)
        incidents.add_incidents(c, incidents_of(rng))
        numbers = units.unit_numbers(c, [f"U-{k:02d}" for k in range(UNITS)], register=True)
        pings.add_pings(c, pings_around(np.array(sorted(numbers.values())), rng))


def disk() -> np.ndarray:
    """The cells, sorted."""
    middle = h3.latlng_to_cell(LAT, LON, 9)
    return np.array(sorted(int(c, 16) for c in h3.grid_disk(middle, RINGS)), dtype=np.uint64)


def plan_of(cells: np.ndarray) -> Plan:
    """One plan, whose zones are some of its cells."""
    zones = []
    for k in range(ZONES):
        some = cells[k * 100 : k * 100 + 4]
        zones.append(
            PlanZone(f"Z{k + 1}", k + 1, tuple(to_text(some)), 0.4, 1.5, 2.5, 3.5 - k / 10, 2,
                     1320.0, ("A reason.", "And another one."), geojson.outline(some))
        )  # fmt: skip
    return Plan(
        PLAN, "city", "day", START_US, START_US + 12 * HOUR_US, "draft", START_US, START_US,
        6.0, 0.0, 30.0, 30.0, 0.0, [], [], {}, 1, tuple(zones),
    )  # fmt: skip


def incidents_of(rng: np.random.Generator) -> incidents.IncidentRows:
    """Incidents at even distances in time."""
    lat, lon = rng.uniform(49.2, 49.3, INCIDENTS), rng.uniform(-123.2, -123.0, INCIDENTS)
    kinds = [("theft", "assault", "mischief")[k % 3] for k in range(INCIDENTS)]
    none = [None] * INCIDENTS
    begin = START_US - np.arange(INCIDENTS, dtype=np.int64) * HOUR_US
    absent = np.full(INCIDENTS, ABSENT)
    reported = np.where(np.arange(INCIDENTS) < 30, ABSENT, begin + HOUR_US)  # null at first
    return incidents.IncidentRows(
        [f"I-{k:05d}" for k in range(INCIDENTS)], begin, absent, reported, lat, lon,
        cells_at(lat, lon, 10), kinds, none, np.ones(INCIDENTS, dtype=np.int8), none,
    )  # fmt: skip


def pings_around(numbers: np.ndarray, rng: np.random.Generator) -> Pings:
    """One ping of each unit; the first ones without a speed."""
    n = len(numbers)
    found = pings_of(
        numbers.astype(np.int64), np.full(n, START_US), rng.uniform(49.2, 49.3, n),
        rng.uniform(-123.2, -123.0, n),
    )  # fmt: skip
    return replace(found, speed_mps=np.where(np.arange(n) < 25, np.nan, 7.5))
