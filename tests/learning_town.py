"""A district of 91 cells whose true risk is known: a busy corner that is busier at night."""

from datetime import date

import h3
import numpy as np

from app.geo.grid import grid_from
from app.geo.risk import Incidents
from app.shifts import instances

CELLS = [h3.str_to_int(c) for c in h3.grid_disk(h3.latlng_to_cell(49.28, -123.12, 9), 5)]
TOWN = grid_from(np.array(CELLS, dtype=np.uint64), 9)
CALENDAR = {"day": "07:00", "evening": "15:00", "night": "23:00"}
SHIFTS = instances(CALENDAR, "America/Vancouver", date(2022, 1, 1), date(2023, 12, 31))
BUSY = np.arange(91) % 9 == 0


def true_rates(nights: float = 3.0) -> np.ndarray:
    """Expected incidents per shift name and cell: (3, 91)."""
    rates = np.where(BUSY, 0.15, 0.01)
    return np.array([rates, rates, np.where(BUSY, nights * rates, rates)])


def drawn(seed: int = 1, nights: float = 3.0) -> Incidents:
    """Two years of incidents drawn from the true rates, in order of time."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(true_rates(nights)[SHIFTS.name])
    shift, cell = np.nonzero(counts)
    many = counts[shift, cell]
    shift, cell = np.repeat(shift, many), np.repeat(cell, many)
    length = SHIFTS.end_us[shift] - SHIFTS.start_us[shift]
    time_us = SHIFTS.start_us[shift] + (rng.random(len(shift)) * length).astype(np.int64)
    order = np.argsort(time_us, kind="stable")
    return incidents_at(time_us[order], TOWN.cells[cell[order]])


def incidents_at(time_us, cells, to_us=None) -> Incidents:
    """Incidents of those moments, or of those spans, in those cells."""
    time_us = np.asarray(time_us, dtype=np.int64)
    to_us = time_us if to_us is None else np.asarray(to_us, dtype=np.int64)
    n = len(time_us)
    return Incidents(
        time_us,
        to_us,
        to_us,
        np.broadcast_to(np.asarray(cells, dtype=np.uint64), n).copy(),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int8),
        ("theft",),
    )
