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
from app.load import load_districts, load_incidents, load_pings
from app.review import Judgement, judge
from app.settings import Settings
from app.shifts import DAY_US, Shift, instance
from app.store.history import read_incidents
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
            yield planning.Request(district, shift, FIRST + timedelta(days=offset), 6.0)


def judged(database: Database, settings: Settings, plan: Plan, area: Any) -> Judged:
    """The plan beside what happened in its shift."""
    grid = grid_of(area, plan.parameters["resolution"])
    shift = Shift(plan.shift, plan.start_us, plan.end_us)
    with database.read() as connection:
        known = read_incidents(connection, NOW_US, plan.start_us - 366 * DAY_US)
    cells = from_text([cell for zone in plan.zones for cell in zone.cells])
    return Judged(plan, judge(cells, grid, known, shift))


def pooled(rows: list[Judged]) -> Judgement:
    """All judgements as one: hits over incidents, cells over cells."""
    return Judgement(
        *(sum(getattr(row.judgement, field.name) for row in rows) for field in fields(Judgement))
    )


def line(name: str, row: Judgement) -> str:
    """One line of the table."""
    rate, by_counts = row.caught / row.happened, row.caught_by_counts / row.happened
    area = row.chosen / row.cells
    return (
        f"{name:<28} {row.happened:>6} {area:>7.2%}"
        f" {rate:>7.2%} {rate / area:>6.2f} {row.caught / row.possible:>6.3f}"
        f" {by_counts:>9.2%} {by_counts / area:>6.2f} {row.caught_by_counts / row.possible:>6.3f}"
    )


HEAD = (
    f"{'':<28} {'':>6} {'':>7} {'our zones':>21} {'12-month counts':>23}\n"
    f"{'shifts':<28} {'inc.':>6} {'area':>7} {'hits':>7} {'PAI':>6} {'PEI':>6}"
    f" {'hits':>9} {'PAI':>6} {'PEI':>6}"
)


def table(rows: dict[str, list[Judged]]) -> str:
    """Per district: each name of shift, and all together."""
    lines = [HEAD]
    for district, found in rows.items():
        for shift in SHIFTS:
            some = [row for row in found if row.plan.shift == shift]
            lines.append(line(f"{district}, {shift}", pooled(some)))
        lines.append(line(f"{district}, all", pooled(found)))
    return "\n".join(lines)


def shift_start_us(request: planning.Request) -> int:
    """When the requested shift begins."""
    return instance(SHIFTS, TIMEZONE, request.shift, request.date).start_us
