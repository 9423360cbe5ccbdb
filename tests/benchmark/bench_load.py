"""Files into the database, beside the fastest that each database takes the same rows."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmark import data
from tests.benchmark.databases import databases, measured_command, raw_copy_s, raw_sqlite_s
from tests.benchmark.table import Table

COLUMNS = (
    "what", "database", "rows", "rows/s", "raw rows/s", "share of raw", "again, rows/s", "peak, MB",
)  # fmt: skip


def run() -> Table:
    lines: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with databases(folder) as addresses:
            for kind, file, raw in (
                ("incidents", data.incidents(folder), raw_incidents),
                ("pings", data.pings(folder), raw_pings),
            ):
                table, types, key = raw(file.path)
                for database, address in addresses.items():
                    rows, first_s, peak_mb = loaded(address, kind, file)
                    _, again_s, again_mb = loaded(address, kind, file)
                    raw_s = raw_seconds(address, folder / f"{kind}.raw", table, types, key)
                    speeds = (rows / first_s, rows / raw_s, raw_s / first_s, rows / again_s)
                    lines.append((file.what, database, rows, *speeds, max(peak_mb, again_mb)))
    notes = (
        "From the file to the disk, with the start of the command. Raw: the same rows, ready in "
        "memory, by `executemany` or `COPY` in one flushed transaction, without geometry.",
    )
    return Table(COLUMNS, lines, notes)


def loaded(address: str, kind: str, file: data.File) -> tuple[int, float, float]:
    """How many rows were received, in how many seconds, with how much memory at most [MB]."""
    began = time.perf_counter()
    asked = ("load", kind, str(file.path), "--profile", file.profile)
    said, peak_mb = measured_command(address, *asked)
    taken_s = time.perf_counter() - began
    return int(json.loads(said.splitlines()[-1])["received"]), taken_s, peak_mb


def raw_seconds(
    address: str, path: Path, table: pa.Table, types: tuple[str, ...], key: str
) -> float:
    if not address.startswith("sqlite"):
        return raw_copy_s(address, table, types, key)
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return raw_sqlite_s(path, rows, key)


Raw = tuple[pa.Table, tuple[str, ...], str]


def raw_pings(path: Path) -> Raw:
    read = pq.read_table(path)
    unit = read["cab_id"] if "cab_id" in read.column_names else read["unit_id"]
    lat, lon = (n for n in read.column_names if n.startswith(("lat", "lon")))
    columns = {
        "time_us": (np.asarray(read["time"], dtype=np.float64) * 1e6).astype(np.int64),
        "unit": unit.cast(pa.string()).combine_chunks().dictionary_encode().indices,
        "lat": read[lat],
        "lon": read[lon],
    }
    return pa.table(columns), ("bigint", "integer", "float8", "float8"), "c0, c1"


def raw_incidents(path: Path) -> Raw:
    read = pq.read_table(path)
    when = read["Dates"] if "Dates" in read.column_names else read["occurred_from"]
    lat, lon = ("Y", "X") if "Y" in read.column_names else ("lat", "lon")
    category = read["Category"] if "Category" in read.column_names else read["category"]
    columns = {
        "incident": np.arange(len(read)),
        "occurred_from": when.cast(pa.string()),
        "lat": read[lat],
        "lon": read[lon],
        "category": category.cast(pa.string()),
    }
    return pa.table(columns), ("integer", "text", "float8", "float8", "text"), "c0"
