"""Fresh databases to measure on, and the raw speed of both."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import psycopg
import pyarrow as pa
from pyarrow import csv

from tests.benchmark.table import seconds
from tests.postgres import NotInstalled, PostgresServer

PROGRAM = Path(sys.executable).with_name("focus-patrol")


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Addresses of an empty, migrated SQLite file and, where PostgreSQL is there, of a PostGIS."""
    addresses = {"SQLite": f"sqlite:///{folder}/bench.db"}
    home = Path(tempfile.mkdtemp(prefix="focus-patrol-bench-"))
    server = None
    try:
        server = PostgresServer(home)
        server.create()
        server.start()
        addresses["PostGIS"] = server.url.render_as_string(hide_password=False)
    except NotInstalled as error:
        print(f"PostGIS is left out: {error}", file=sys.stderr)
    try:
        for address in addresses.values():
            command(address, "migrate")
        yield addresses
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(home, ignore_errors=True)


def command(address: str, *arguments: str) -> str:
    """What `focus-patrol` prints on a database."""
    return measured_command(address, *arguments)[0]


def measured_command(address: str, *arguments: str) -> tuple[str, float]:
    """What `focus-patrol` prints on a database, and the most memory that it held [MB].

    Asked of the running process: what the system keeps of an ended one includes the memory of the
    process that started it.
    """
    environment = os.environ | {
        "FOCUS_PATROL_DATABASE_URL": address,
        "FOCUS_PATROL_RETENTION_DAYS": "0",
    }
    peak_mb = 0.0
    with subprocess.Popen(
        [PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        status = Path(f"/proc/{running.pid}/status")
        while running.poll() is None:
            held = re.search(r"VmHWM:\s+(\d+) kB", status.read_text() if status.exists() else "")
            peak_mb = max(peak_mb, int(held[1]) * 1.024 / 1e3 if held else 0.0)
            time.sleep(0.02)
        assert running.stdout is not None
        said = running.stdout.read()
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, arguments[0])
    return said, peak_mb


def raw_sqlite_s(path: Path, rows: Sequence[tuple[object, ...]], key: str) -> float:
    """Seconds that `executemany` takes for the rows in one transaction, flushed to disk."""
    columns = ", ".join(f"c{k}" for k in range(len(rows[0])))
    marks = ", ".join("?" * len(rows[0]))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"CREATE TABLE raw ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")

        def insert() -> None:
            with connection:
                connection.executemany(f"INSERT INTO raw VALUES ({marks})", rows)  # noqa: S608  fixed

        return seconds(insert)


def raw_copy_s(address: str, table: pa.Table, types: Sequence[str], key: str) -> float:
    """Seconds that PostgreSQL's COPY takes for the rows, ready as CSV, in one transaction."""
    text = BytesIO()
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    columns = ", ".join(f"c{k} {kind}" for k, kind in enumerate(types))
    with psycopg.connect(address.replace("+psycopg", "")) as connection:
        connection.execute(f"CREATE TABLE raw ({columns}, PRIMARY KEY ({key}))")
        connection.commit()

        def copy() -> None:
            with connection.cursor().copy("COPY raw FROM STDIN (FORMAT csv)") as into:
                into.write(text.getbuffer())
            connection.commit()

        taken_s = seconds(copy)
        connection.execute("DROP TABLE raw")
        connection.commit()
    return taken_s
