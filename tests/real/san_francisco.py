"""San Francisco in May 2008: loading a real city, planning each shift, judging each plan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import shapely

from app import planning
from app.db import Database
from app.files import read_area
from app.geo.grid import from_text, grid_of
from app.geo.zones import zone_parameters
from app.load import load_districts, load_incidents, load_pings
from app.review import Judgement, judge
from app.settings import Settings
from app.shifts import DAY_US, Shift
from app.store.districts import get_district
from app.store.history import History
from app.store.plans import Plan

DATA = Path(__file__).parents[3] / "shared" / "data"
DISTRICTS = DATA / "sf_districts" / "sfpd_districts.geojson"
CRIME = DATA / "sf_crime"
INCIDENTS = (
    CRIME / "sfpd_incidents_2005_2008_labelled_weeks.parquet",
    CRIME / "sfpd_incidents_2005_2008_unlabelled_weeks.parquet",
)
PINGS = DATA / "sf_taxi_gps" / "cabspotting_2008-05-17_2008-05-30.parquet"
CALENDAR = "day=07:00,evening=15:00,night=23:00"
SHIFTS = dict(part.split("=") for part in CALENDAR.split(","))
TIMEZONE = "America/Los_Angeles"
FIRST, LAST = date(2008, 5, 17), date(2008, 5, 30)
NOW_US = 1_230_768_000_000_000  # 1 January 2009: all of the data is past
CITY = "SAN FRANCISCO"
UNIT_HOURS = {CITY: 12.0, "MISSION": 1.5}  # four cars with three hours; one with half a shift


@dataclass(frozen=True)
class Judged:
    """A plan and how it met what happened."""

    plan: Plan
    judgement: Judgement


def city_file(folder: Path) -> Path:
    """The districts' polygons as one, as a file of its own."""
    path = folder / "city.geojson"
    geometry = json.loads(shapely.to_geojson(read_area(DISTRICTS)))
    feature = {"type": "Feature", "properties": {"name": CITY}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def load_city(database: Database, settings: Settings, folder: Path) -> dict[str, Any]:
    """The receipts of loading districts and incidents."""
    whole, parts = city_file(folder), DISTRICTS
    return {
        "city": load_districts(database, whole, "name", "name", TIMEZONE, CALENDAR),
        "districts": load_districts(database, parts, "DISTRICT", "DISTRICT", TIMEZONE, CALENDAR),
        "labelled": load_incidents(database, settings, INCIDENTS[0], "sf_incidents", NOW_US),
        "unlabelled": load_incidents(database, settings, INCIDENTS[1], "sf_incidents", NOW_US),
    }


def load_patrol(database: Database, settings: Settings) -> dict[str, Any]:
    """The receipt of loading the taxis' pings."""
    return load_pings(database, settings, PINGS, "sf_taxi_gps", NOW_US)


def requests(district: str) -> Iterator[planning.Request]:
    """Every shift of the two weeks."""
    for offset in range((LAST - FIRST).days + 1):
        for shift in SHIFTS:
            yield planning.Request(
                district, shift, FIRST + timedelta(days=offset), UNIT_HOURS[district]
            )


def judged(database: Database, history: History, plan: Plan, area: Any) -> Judged:
    """The plan beside what happened in its shift; `history` is that of the plan's resolution."""
    grid = grid_of(area, plan.parameters["resolution"])
    shift = Shift(plan.shift, plan.start_us, plan.end_us)
    with database.read() as connection:
        known = history.read(connection, NOW_US, plan.start_us - 366 * DAY_US)
    zones = [from_text(zone.cells) for zone in plan.zones]
    limits = zone_parameters(plan.parameters["resolution"])
    return Judged(plan, judge(zones, grid, known, shift, limits))


def two_weeks(database: Database, settings: Settings) -> dict[str, list[Judged]]:
    """Every shift of both districts, planned and judged."""
    history = History(settings.plan_resolution)
    rows: dict[str, list[Judged]] = {}
    for name in UNIT_HOURS:
        with database.read() as connection:
            district = get_district(connection, name)
        assert district is not None
        plans = [planning.plan_shift(database, settings, asked, NOW_US) for asked in requests(name)]
        rows[name] = [judged(database, history, plan, district.geometry) for plan in plans]
    return rows


def pooled(rows: list[Judged]) -> Judgement:
    """All judgements as one: hits over incidents, cells over cells."""
    return Judgement(
        *(sum(getattr(row.judgement, field.name) for row in rows) for field in fields(Judgement))
    )


def line(name: str, row: Judgement) -> str:
    """One line of the table: the share of area, and hits, PAI and PEI of each way to choose it."""
    area = row.chosen / row.cells
    ways = (row.caught, row.caught_by_counted_zones, row.caught_by_counts)
    rates = ((hits, hits / row.happened) for hits in ways)
    shown = "  ".join(
        f"{rate:>7.2%} {rate / area:>5.2f} {hits / row.possible:>5.3f}" for hits, rate in rates
    )
    return f"{name:<22} {row.happened:>5} {area:>6.2%}  {shown}"


WAYS = ("our zones", "zones by counts", "cells by counts")
HEAD = (
    f"{'':<22} {'':>5} {'':>6}  {'  '.join(f'{way:^19}' for way in WAYS)}\n"
    f"{'district, shift':<22} {'inc.':>5} {'area':>6}  "
    + "  ".join(f"{'hits':>7} {'PAI':>5} {'PEI':>5}" for _ in range(3))
)


def table(rows: dict[str, list[Judged]]) -> str:
    """The two weeks, per district: each name of shift, and all together."""
    lines = [HEAD]
    for district, found in rows.items():
        for shift in SHIFTS:
            some = [row for row in found if row.plan.shift == shift]
            lines.append(line(f"{district}, {shift}", pooled(some)))
        lines.append(line(f"{district}, all", pooled(found)))
    return "\n".join(lines)
