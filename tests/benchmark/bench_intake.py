"""Pings over HTTP, the client on the same machine, beside the database's own speed.

`python -m tests.benchmark.bench_intake --seconds 600` loads as long as that and shows the memory;
`python -m pytest tests/http/test_durability.py --runs 20` kills the service twenty times.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.geo.fixes import Pings
from app.migrate import migrate
from app.settings import Settings
from tests.benchmark.bench_store_pings import copy, executemany, postgis, rate, sqlite, taxis
from tests.benchmark.table import Table
from tests.serving import Process, serving

ROWS, COMMIT = 200_000, 1_000  # of the raw load: as many rows as a batch has, in flushed commits
BATCHES = 8  # connections that send batches
COLUMNS = ("database", "what", "calls/s", "pings/s", "p50 ms", "p99 ms", "beside", "ratio")


def run(seconds: float = 6.0) -> Table:
    lines: list[tuple[object, ...]] = []
    notes = []
    for name, fresh, raw in (("SQLite", sqlite, executemany), ("PostGIS", postgis, copy)):
        with fresh() as settings:
            raw_s = rate(settings, rows(), COMMIT, raw)
        with fresh() as settings, service(settings) as process:
            send(process, seconds=1, begin=0)  # warm
            batches = send(process, seconds=seconds, begin=1e5, items=COMMIT, connections=BATCHES)
        beside = f"{'executemany' if name == 'SQLite' else 'COPY'}, {raw_s:,.0f} rows/s"
        lines.append(line(name, f"batches of {COMMIT:,}", batches, beside, "pings_s", raw_s))
        with fresh() as settings, service(settings) as process:
            send(process, seconds=1, begin=0)
            before_mb = memory_mb(process)
            single = send(process, seconds=seconds, begin=1e5)
            half = send(process, seconds=seconds, begin=2e5, rate=single["calls_s"] / 2)
            after_mb = memory_mb(process)
        lines.append(line(name, "single pings", single, "8,000 calls/s", "calls_s", 8_000))
        lines.append(line(name, "half of that", half, "100 ms", "p99_ms", 100))
        notes.append(
            f"{name}: the service held {before_mb:,.0f} MB before {2 * seconds:,.0f} s of single "
            f"pings and {after_mb:,.0f} MB after."
        )
    notes += [
        f"Raw: the same table, {ROWS:,} rows in flushed commits of {COMMIT:,}. 8,000 calls/s: what "
        "Traccar says of itself. Latency at half load counts from when a call was due.",
        f"{BATCHES} connections send batches, 64 send single pings.",
    ]
    return Table(COLUMNS, lines, notes)


def rows() -> Pings:
    """Pings in order of time, as they come from a fleet."""
    found = taxis()
    order = found.time_us.argsort(kind="stable")[:ROWS]
    return found.take(order)


def line(
    name: str, what: str, sent: dict[str, Any], beside: str, figure: str, peer: float
) -> tuple[object, ...]:
    if set(sent["statuses"]) != {"200"}:
        raise SystemExit(f"{what}: {sent['statuses']}")
    speeds = (sent["calls_s"], sent["pings_s"], sent["p50_ms"], sent["p99_ms"])
    return (name, what, *speeds, beside, sent[figure] / peer)


@contextmanager
def service(settings: Settings) -> Iterator[Process]:
    """The service as it is run, with its derivation."""
    with tempfile.TemporaryDirectory() as folder:
        kept = settings.model_copy(update={"retention_days": 0, "busy_timeout_s": 5.0})
        with serving(kept, Path(folder)) as process:
            yield process


def send(process: Process, **options: float) -> dict[str, Any]:
    """What the client in its own process says of a load; `begin` [s] counts from a fixed day."""
    options["begin"] += 1_600_000_000
    given = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "tests.benchmark.sender", str(process.port), process.key]
    done = subprocess.run([*command, *given], stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def memory_mb(process: Process) -> float:
    """What the service holds now [MB]; not a number where the system does not say."""
    status = Path(f"/proc/{process.running.pid}/status")
    if not status.exists():
        return float("nan")
    (held,) = (each for each in status.read_text().splitlines() if each.startswith("VmRSS"))
    return int(held.split()[1]) / 1e3


def soak(seconds: float) -> None:
    """Loads the service at 2,000 single pings a second, and prints its memory now and then."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/bench.db", retention_days=0)
        migrate(settings)
        with service(settings) as process:
            began, part_s = time.monotonic(), min(30.0, seconds / 4)
            while (passed := time.monotonic() - began) < seconds:
                sent = send(process, seconds=part_s, begin=passed * 1_000, rate=2_000)
                figures = f"p99 {sent['p99_ms']:.1f} ms, statuses {sent['statuses']}"
                print(f"{passed:6.0f} s: {memory_mb(process):,.0f} MB, {figures}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    soak(parser.parse_args().seconds)
