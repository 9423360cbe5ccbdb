"""Pings into the store beside the databases' own bulk load of the same rows in the same commits.

The store's figures include all that intake pays: rows sorted, duplicates found, hours marked dirty,
last positions moved. The rows are the San Francisco taxis, or as many made ones where the data is
absent.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pyarrow.parquet as pq

from app.db import Database
from app.geo.fixes import Pings, pings_of
from app.migrate import migrate
from app.settings import Settings
from app.shifts import HOUR_US
from app.store.columns import driver
from app.store.pings import add_pings
from app.store.units import unit_numbers
from tests.benchmark.table import Table, peak_mb, seconds
from tests.postgres import NotInstalled, PostgresServer, settings_for

DATA = Path(__file__).parents[3] / "shared/data/sf_taxi_gps"
LOAD, REQUEST = 50_000, 1_000  # rows in a commit of `load` and of a request
REQUEST_ROWS = 400_000
Write = Callable[[Database, Pings], None]


def run() -> Table:
    in_file = taxis()
    in_time = in_file.take(np.lexsort((in_file.unit, in_file.time_us)))
    cases = [
        ("load, by time", in_time, LOAD),
        ("load, by unit", in_file, LOAD),
        ("load again", in_time, LOAD),
        ("requests", in_time.take(slice(REQUEST_ROWS)), REQUEST),
    ]
    rows = []
    for name, servers in (("SQLite", sqlite), ("PostGIS", postgis)):
        for case, pings, batch in cases:
            raw = executemany if name == "SQLite" else copy
            again = case == "load again"
            with servers() as settings:
                raw_rate = 0.0 if again else rate(settings, pings, batch, raw)
            with servers() as settings:
                if again:
                    rate(settings, pings, batch, _store)
                stored = rate(settings, pings, batch, _store)
            beside: tuple[object, object] = ("", "") if again else (raw_rate, stored / raw_rate)
            rows.append((name, case, len(pings), batch, stored, *beside))
    columns = ("database", "case", "rows", "rows a commit", "store, rows/s", "raw, rows/s", "ratio")
    notes = (
        "raw: `executemany` (SQLite), binary `COPY` (PostGIS), into the same table by the key.",
        f"Peak memory {peak_mb():,.0f} MB, the rows themselves included.",
    )
    return Table(columns, rows, notes)


def taxis() -> Pings:
    """The taxi pings in the order of the file: by unit, then by time."""
    files = sorted(DATA.glob("*.parquet"))
    if not files:
        unit, step = np.divmod(np.arange(6_000_000), 12_000)
        rng = np.random.default_rng(1)
        lat, lon = 37.77 + rng.normal(0, 0.03, len(unit)), -122.4 + rng.normal(0, 0.03, len(unit))
        return pings_of(unit + 1, 1_211_000_000_000_000 + step * 60_000_000 + unit, lat, lon)
    table = pq.read_table(files[0])
    unit = table["cab_id"].combine_chunks().indices.to_numpy().astype(np.int64) + 1
    lat, lon = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    return pings_of(unit, table["time"].to_numpy() * 1_000_000, lat, lon)


def rate(settings: Settings, pings: Pings, batch: int, write: Write) -> float:
    """Rows a second that `write` takes the pings in, so many at once."""
    with closing(Database(settings)) as database:
        with database.write() as c:
            unit_numbers(c, [f"cab {k}" for k in range(1, int(pings.unit.max()) + 1)], True)

        def load() -> None:
            for start in range(0, len(pings), batch):
                write(database, pings.take(slice(start, start + batch)))

        return len(pings) / seconds(load)


def _store(database: Database, pings: Pings) -> None:
    with database.write() as c:
        add_pings(c, pings, HOUR_US)  # as far as derivation looks


def executemany(database: Database, pings: Pings) -> None:
    """As fast as SQLite takes rows."""
    with database.write() as c:
        connection: sqlite3.Connection = driver(c)
        columns = (pings.time_us, pings.unit, pings.lat, pings.lon)
        connection.executemany(
            "INSERT INTO pings (time_us, unit, lat, lon) VALUES (?, ?, ?, ?)",
            zip(*(column.tolist() for column in columns), strict=True),
        )


def copy(database: Database, pings: Pings) -> None:
    """As fast as PostgreSQL takes rows."""
    kinds = {"time_us": "i8", "unit": "i4", "lat": "f8", "lon": "f8"}
    layout = [("n", ">i2")]
    for name, kind in kinds.items():
        layout += [(f"{name} length", ">i4"), (name, ">" + kind)]
    packed = np.empty(len(pings), dtype=layout)
    packed["n"] = len(kinds)
    for name, kind in kinds.items():
        packed[f"{name} length"] = int(kind[1])
        packed[name] = getattr(pings, name)
    with database.write() as c:
        connection: psycopg.Connection = driver(c)
        into = "COPY pings (time_us, unit, lat, lon) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + packed.tobytes() + b"\xff\xff")


@contextmanager
def sqlite() -> Iterator[Settings]:
    """A fresh SQLite file."""
    with tempfile.TemporaryDirectory(prefix="focus-patrol-") as folder:
        settings = settings_for(f"sqlite:///{folder}/bench.db")
        migrate(settings)
        yield settings


@contextmanager
def postgis() -> Iterator[Settings]:
    """A fresh PostGIS."""
    folder = Path(tempfile.mkdtemp(prefix="focus-patrol-pg-"))
    try:
        server = PostgresServer(folder)
    except NotInstalled as error:
        raise SystemExit(str(error)) from error
    try:
        server.create()
        server.start()
        settings = settings_for(server.url.render_as_string())
        migrate(settings)
        yield settings
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
