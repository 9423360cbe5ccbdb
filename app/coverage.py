"""Facts to dwell, hour by hour, for what became dirty; and the patrol that a plan counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.db import Database
from app.geo.dwell import CONTEXT_HOURS, Coverage, Dwell, dwell_of
from app.geo.fixes import Pings, no_pings
from app.settings import Settings
from app.shifts import HOUR_US
from app.store import coverage, pings
from app.store.coverage import DirtyHours

BLOCK_HOURS = 24  # derived at once
BLOCK_PAIRS = 5_000  # (unit, hour) derived at once: bounds memory and the length of a transaction

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patrol:
    """Patrol in a window: seconds per cell and hour, transit left out, as columns.

    `cell` (n,) uint64 at the finest resolution stored, `hour` (n,) int64, `dosage_s` (n,) [s].
    `observed_s`, `unobserved_s` [s]: of all units in the window. `last_us`: the newest ping
    before the window's end, None if there is none in it.
    """

    cell: NDArray[np.uint64]
    hour: Ints
    dosage_s: Floats
    observed_s: float
    unobserved_s: float
    last_us: int | None


def derive(
    database: Database,
    settings: Settings,
    from_hour: int | None = None,
    to_hour: int | None = None,
) -> int:
    """How many (unit, hour) were derived: all that are dirty in `[from_hour, to_hour)`.

    The newest come first.

    Any number of callers may derive at once: an hour is settled by the first whose facts are still
    the newest, and stays dirty otherwise.
    """
    with database.read() as connection:
        todo = coverage.dirty(connection, from_hour, to_hour)
    blocks = list(_blocks(todo))
    return sum(_derive_block(database, settings, block) for block in reversed(blocks))


def patrol(database: Database, settings: Settings, from_us: int, until_us: int) -> Patrol:
    """The patrol in `[from_us, until_us)` as it was known at its end: later pings play no part.

    Hours that later pings cannot have touched come from what is derived (deriving first what is
    dirty); the others are derived here from earlier pings alone.
    """
    first = -(-from_us // HOUR_US)
    last = max(first, until_us // HOUR_US - CONTEXT_HOURS)
    derive(database, settings, first, last)
    with database.read() as connection:
        stored = coverage.dosage(connection, first, last)
        known = coverage.read_coverage(connection, first, last)
        head = _pings(connection, from_us // HOUR_US, first, until_us)
        tail = _pings(connection, last, until_us // HOUR_US + 1, until_us)
    ends = [
        dwell_of(head, settings.resolution, between_us=(from_us, min(first * HOUR_US, until_us))),
        dwell_of(tail, settings.resolution, between_us=(last * HOUR_US, until_us)),
    ]
    parts = [_per_cell(dwell) for dwell, _ in ends]
    return Patrol(
        np.concatenate([stored.cell, *(cell for cell, _, _ in parts)]),
        np.concatenate([stored.hour, *(hour for _, hour, _ in parts)]),
        np.concatenate([stored.dosage_s, *(seconds for _, _, seconds in parts)]),
        float(known.observed_s.sum() + sum(c.observed_s.sum() for _, c in ends)),
        float(known.unobserved_s.sum() + sum(c.unobserved_s.sum() for _, c in ends)),
        _last_us(tail, known),
    )


def _derive_block(database: Database, settings: Settings, block: DirtyHours) -> int:
    first, last = int(block.hour.min()), int(block.hour.max()) + 1
    units = np.unique(block.unit)
    with database.read() as connection:
        now = coverage.dirty(connection, first, last)  # marks and pings of one and the same view
        mine = now.take(np.isin((now.hour << 32) + now.unit, (block.hour << 32) + block.unit))
        seen = pings.read_pings(
            connection,
            units,
            (first - CONTEXT_HOURS) * HOUR_US,
            (last + CONTEXT_HOURS) * HOUR_US,
        )
    dwell, known = dwell_of(seen, settings.resolution)
    with database.write() as connection:
        return coverage.replace_dwell(connection, mine, dwell, known)


def _blocks(todo: DirtyHours) -> Iterator[DirtyHours]:
    """Dirty hours in runs of at most BLOCK_HOURS and BLOCK_PAIRS (at least one hour)."""
    start = 0
    while start < len(todo):
        end = int(np.searchsorted(todo.hour, todo.hour[start] + BLOCK_HOURS))
        if end - start > BLOCK_PAIRS:
            within = int(np.searchsorted(todo.hour, todo.hour[start + BLOCK_PAIRS]))
            end = max(within, int(np.searchsorted(todo.hour, todo.hour[start] + 1)))
        yield todo.take(slice(start, end))
        start = end


def _pings(connection: Connection, first: int, last: int, until_us: int) -> Pings:
    """All pings that bear on the hours in `[first, last)` and were sent before `until_us`."""
    if last <= first:
        return no_pings()
    from_us, to_us = (first - CONTEXT_HOURS) * HOUR_US, (last + CONTEXT_HOURS) * HOUR_US
    return pings.read_pings(connection, None, from_us, min(to_us, until_us))


def _last_us(tail: Pings, known: Coverage) -> int | None:
    """The newest ping: of the tail, else the end of the last hour that had one."""
    if len(tail):
        return int(tail.time_us.max())
    heard = known.hour[known.pings > 0]
    return int(heard.max() + 1) * HOUR_US if len(heard) else None


def _per_cell(dwell: Dwell) -> tuple[NDArray[np.uint64], Ints, Floats]:
    return dwell.cell, dwell.hour, dwell.dwell_s - dwell.transit_s
