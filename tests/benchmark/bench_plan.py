"""One shift of a whole city planned, from years of incidents and a day of pings."""

import json
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from app import planning
from app.db import Database
from app.settings import Settings
from tests.benchmark import data
from tests.benchmark.databases import command, databases
from tests.benchmark.table import Table, median_s, peak_mb, seconds

DAY = date(2008, 5, 20)
DAY_S = 1_211_266_800  # its midnight in San Francisco
CITY = shapely.box(-122.52, 37.70, -122.35, 37.84)
SHIFTS = "day=07:00,evening=15:00,night=23:00"


def run() -> Table:
    lines = []
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as addresses:
        incidents, pings = data.incidents(Path(name)), one_day(data.pings(Path(name)), Path(name))
        for database, address in addresses.items():
            fill(address, Path(name), incidents, pings)
            lines.append((database, *measured(address)))
    columns = ("database", "incidents", "pings", "cells", "first, s", "cold, s", "warm, s")
    notes = (
        f"{incidents.what}, one day of {pings.what}, a whole city at resolution 9. First: the "
        "command, which also derives the day's dwell. Cold: the command again, with its start. "
        "Warm: in a process that runs.",
        f"The most memory that the planning process held: {peak_mb():,.0f} MB.",
    )
    return Table(columns, lines, notes)


def measured(address: str) -> tuple[object, ...]:
    """How many facts, how many cells, and the seconds of three kinds of plan."""
    settings = Settings(database_url=address, retention_days=0)
    request = planning.Request("city", "night", DAY, 12.0)
    now_us = (DAY_S + 2 * 86_400) * 1_000_000

    asked = ("--district", "city", "--shift", "night", "--date", DAY.isoformat())
    first_s = seconds(lambda: command(address, "plan", *asked))
    cold_s = seconds(lambda: command(address, "plan", *asked))
    with closing(Database(settings)) as database:
        warm_s = median_s(lambda: planning.plan_shift(database, settings, request, now_us), 5)
        with database.read() as c:
            counts = [
                c.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608  fixed
                for table in ("incidents", "pings")
            ]
            cells = c.exec_driver_sql(
                "SELECT max(n) FROM (SELECT count(*) AS n FROM plan_cells GROUP BY plan) AS p"
            )
            return *counts, cells.scalar_one(), first_s, cold_s, warm_s


def fill(address: str, folder: Path, incidents: data.File, pings: data.File) -> None:
    """The facts of a city into an empty database."""
    area = folder / "city.geojson"
    feature = {
        "type": "Feature",
        "properties": {"id": "city", "name": "City"},
        "geometry": shapely.geometry.mapping(CITY),
    }
    area.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    where = ("--timezone", "America/Los_Angeles", "--shifts", SHIFTS, "--id-field", "id")
    command(address, "load", "districts", str(area), *where)
    command(address, "load", "incidents", str(incidents.path), "--profile", incidents.profile)
    command(address, "load", "pings", str(pings.path), "--profile", pings.profile)


def one_day(file: data.File, folder: Path) -> data.File:
    """The pings of the day before the planned night."""
    table = pq.read_table(file.path)
    time_s = table["time"]
    inside = pc.and_(pc.greater_equal(time_s, DAY_S - 3_600), pc.less(time_s, DAY_S + 86_400))
    pq.write_table(table.filter(inside), folder / "day.parquet")
    return data.File(folder / "day.parquet", file.profile, file.what)
