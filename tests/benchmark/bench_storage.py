"""Bytes that a ping and a row of dwell take on disk, keys included, and what a day of a fleet does.

The rows are those of simulated cars, stored by the store itself and derived; the sizes are the
databases' own. What a fleet takes is this times its pings: nothing else is assumed.
"""

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from app import coverage, simulate
from app.db import Database
from app.geo.dwell import REACH_US
from app.geo.fixes import Pings
from app.shifts import HOUR_US
from app.store.pings import add_pings
from app.store.units import unit_numbers
from tests.benchmark.databases import databases
from tests.benchmark.table import Table
from tests.postgres import settings_for

START_US = 1_780_000_200_000_000
HOURS = 240
BATCH = 1_000
RESOLUTION = 9
FLEET, EVERY_S, RETENTION_DAYS = 500, 10, 30
SIZES = {
    "SQLite": "SELECT sum(pgsize) FROM dbstat WHERE name = '{}'",
    "PostGIS": "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{}')",
}
PLAIN = "SELECT pg_total_relation_size('{}')"


def run() -> Table:
    town = simulate.town(3)
    pings = simulate.pings(town, START_US, START_US + HOURS * HOUR_US).pings
    pings = pings.take(np.lexsort((pings.unit, pings.time_us)))
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="focus-patrol-") as folder,
        databases(Path(folder)) as addresses,
    ):
        for name, address in addresses.items():
            with closing(Database(settings_for(address))) as database:
                rows += _measured(name, database, pings)
    columns = ("database", "table", "rows", "bytes a row", "rows a day", "GB a day", "GB kept")
    notes = (
        f"A day: {FLEET} cars, a ping every {EVERY_S} s day and night. Kept: "
        f"{RETENTION_DAYS} days of pings, a year of what is derived.",
        "Bytes are measured, keys included, on rows of simulated cars written 1,000 at a time in "
        f"order of time ({HOURS} h). Rows of dwell a day are those of these cars a car and hour, "
        "times the fleet: most of them patrol; parked ones make fewer.",
    )
    return Table(columns, rows, notes)


def _measured(name: str, database: Database, pings: Pings) -> list[tuple[object, ...]]:
    _store(database, pings)
    coverage.derive(database, RESOLUTION)
    found = []
    with database.each() as c:
        if not database.is_sqlite:
            c.exec_driver_sql("VACUUM")
        hours = _count(c, "coverage")
        for table, days in (("pings", RETENTION_DAYS), ("dwell", 365), ("coverage", 365)):
            query = SIZES[name] if table == "pings" or name == "SQLite" else PLAIN
            count = _count(c, table)
            each = int(c.exec_driver_sql(query.format(table)).scalar_one()) / count
            per_hour = 3_600 / EVERY_S if table == "pings" else count / hours
            a_day = int(per_hour * FLEET * 24)
            day_gb = each * a_day / 1e9
            found.append((name, table, count, each, a_day, day_gb, day_gb * days))
    return found


def _count(c: Connection, table: str) -> int:
    return int(c.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608  fixed


def _store(database: Database, pings: Pings) -> None:
    unit, number = np.unique(pings.unit, return_inverse=True)
    with database.write() as c:
        known = unit_numbers(c, [f"P-{u}" for u in unit.tolist()], register=True)
    numbers = np.array([known[f"P-{u}"] for u in unit.tolist()])[number]
    for start in range(0, len(pings), BATCH):
        part = pings.take(slice(start, start + BATCH))
        mine = Pings(
            numbers[start : start + BATCH],
            *(getattr(part, n) for n in list(Pings.__dataclass_fields__)[1:]),
        )
        with database.write() as c:
            add_pings(c, mine, REACH_US)
