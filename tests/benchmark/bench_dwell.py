"""Pings to dwell, intervals included, beside the look-up of the pings' cells alone."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from app import files
from app.geo.dwell import REACH_US, dwell_of, dwell_parts
from app.geo.fixes import Pings, concat
from app.geo.grid import cells_at
from app.shifts import HOUR_US
from tests.benchmark import data, dwell_accuracy
from tests.benchmark.table import Table, peak_mb

UNITS, DENSE = 500, 50


def run() -> Table:
    with tempfile.TemporaryDirectory() as folder:
        file = data.pings(Path(folder))
        pings = files.pings_of_file(file.path, file.profile)[0].ordered()
    live, hour = _live()
    rows = []
    for resolution in (9, 10):
        floor_s = _cpu_s(lambda r=resolution: cells_at(pings.lat, pings.lon, r))
        whole_s = _cpu_s(lambda r=resolution: sum(1 for _ in dwell_parts(pings, r)))
        rows.append(_row(file.what, resolution, len(pings), whole_s, floor_s))
    floor_s = _cpu_s(lambda: cells_at(live.lat, live.lon, 10))
    between = (hour * HOUR_US, (hour + 1) * HOUR_US)
    live_s = _cpu_s(lambda: dwell_of(live, 10, between_us=between))
    rows.append(_row(f"{UNITS} units at 10 s, last hour", 10, len(live), live_s, floor_s))
    return Table(
        (
            "pings",
            "resolution",
            "number",
            "CPU s",
            "pings/s",
            "CPU s of H3 look-ups alone",
            "ratio",
        ),
        rows,
        (f"Most memory held: {peak_mb():,.0f} MB, the file's pings included.",),
    )


def _row(
    what: str, resolution: int, count: int, took_s: float, floor_s: float
) -> tuple[object, ...]:
    return what, resolution, count, took_s, count / took_s, floor_s, took_s / floor_s


def _live() -> tuple[Pings, int]:
    """What the last hour of many units that report every 10 s depends on, and that hour."""
    few = dwell_accuracy.pings_of_cars(dwell_accuracy.patrol(DENSE, 3, 10))
    hour = int(few.time_us.min() // HOUR_US) + 2
    few = few.take(
        (few.time_us >= hour * HOUR_US - REACH_US) & (few.time_us < (hour + 1) * HOUR_US)
    )
    copies = [few.take(slice(None)) for _ in range(UNITS // DENSE)]
    units = np.concatenate([few.unit + k * DENSE for k in range(len(copies))])
    joined = concat(copies)
    return Pings(units, *list(vars(joined).values())[1:]).ordered(), hour


def _cpu_s(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began
