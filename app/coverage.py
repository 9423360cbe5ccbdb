"""Facts to dwell, hour by hour, for what became dirty; and the patrol that a plan counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon
from sqlalchemy import Connection

from app.db import Database
from app.errors import DatabaseAway
from app.geo.duty import DutyRows, duty_rows, no_duty_rows, on_duty, patrol_s, spans_of
from app.geo.dwell import CONTEXT_HOURS, Coverage, Dwell, dwell_of
from app.geo.fixes import Pings, no_pings
from app.geo.grid import parents, resolutions
from app.geo.stays import Stays, stays_of
from app.shifts import HOUR_US
from app.store import coverage, pings, places
from app.store.coverage import DirtyHours, Dosage

BLOCK_HOURS = 24  # derived at once
BLOCK_PAIRS = 5_000  # (unit, hour) derived at once: bounds memory and the length of a transaction

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patrol:
    """Patrol in a window: seconds per cell and hour, as columns, without what is no dosage.

    Left out are transit, time off duty, and time at a station and the like.

    `cell` (n,) uint64 at one H3 resolution, `hour` (n,) int64, `dosage_s` (n,) [s].
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
    resolution: int,
    from_hour: int | None = None,
    to_hour: int | None = None,
    *,
    wait: bool = False,
) -> int:
    """How many (unit, hour) were derived at an H3 resolution: all dirty in `[from_hour, to_hour)`.

    The newest come first. Any number of threads and processes may derive at once: hours that
    another is deriving are left to it, or, with `wait`, waited for and looked at again.
    """
    _redo_another_resolution(database, resolution)
    with database.read() as connection:
        todo = coverage.dirty(connection, from_hour, to_hour)
    blocks = list(_blocks(todo))
    return sum(_derive_block(database, resolution, block, wait) for block in reversed(blocks))


def patrol(database: Database, resolution: int, from_us: int, until_us: int) -> Patrol:
    """The patrol in `[from_us, until_us)` as it was known at its end: later pings play no part.

    Hours that later pings cannot have touched come from what is derived (deriving first what is
    dirty); the others are derived here from earlier pings alone.
    """
    first = -(-from_us // HOUR_US)
    last = max(first, until_us // HOUR_US - CONTEXT_HOURS)
    derive(database, resolution, first, last, wait=True)
    with database.read() as connection:
        stored = coverage.dosage(connection, first, last)
        known = coverage.read_coverage(connection, first, last)
        head = _pings(connection, from_us // HOUR_US, first, until_us)
        tail = _pings(connection, last, until_us // HOUR_US + 1, until_us)
        apart = places.apart(connection)
    ends = [
        dosed(head, resolution, (from_us, min(first * HOUR_US, until_us)), apart),
        dosed(tail, resolution, (last * HOUR_US, until_us), apart),
    ]
    parts = [
        _at(stored, resolution),
        *((dwell.cell, dwell.hour, patrol_s(dwell, duty)) for dwell, _, duty in ends),
    ]
    cell, hour, dosage_s = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Patrol(
        cell,
        hour,
        dosage_s,
        float(known.observed_s.sum() + sum(c.observed_s.sum() for _, c, _ in ends)),
        float(known.unobserved_s.sum() + sum(c.unobserved_s.sum() for _, c, _ in ends)),
        _last_us(tail, known),
    )


def dosed(
    seen: Pings,
    resolution: int,
    between_us: tuple[int, int] | None,
    apart: MultiPolygon | None,
) -> tuple[Dwell, Coverage, DutyRows]:
    """Dwell, what is known of each hour, and what is known of the duty in it.

    `apart`: the areas that are no patrol.
    """
    dwell, known = dwell_of(seen, resolution, between_us=between_us)
    if apart is None and not bool((seen.status >= 0).any()):
        return dwell, known, no_duty_rows()  # then every stay is of unknown duty
    stays = stays_on_duty(seen, resolution, apart)
    return dwell, known, duty_rows(stays.within(*between_us) if between_us else stays)


def stays_on_duty(seen: Pings, resolution: int, apart: MultiPolygon | None) -> Stays:
    """The stays of these pings, with their duty; `apart`: the areas that are no patrol."""
    return on_duty(stays_of(seen, resolution, apart=apart), spans_of(seen))


def _derive_block(database: Database, resolution: int, block: DirtyHours, wait: bool) -> int:
    with _claimed(database, np.unique(block.hour), wait) as hours:
        mine = block.take(np.isin(block.hour, hours))
        if not len(mine):
            return 0
        with database.write() as connection:
            mine = coverage.take_up(connection, mine)
        return _derive_taken(database, resolution, mine) if len(mine) else 0


def _derive_taken(database: Database, resolution: int, mine: DirtyHours) -> int:
    first, last = int(mine.hour.min()), int(mine.hour.max()) + 1
    with database.read() as connection:
        seen = pings.read_pings(
            connection,
            np.unique(mine.unit),
            (first - CONTEXT_HOURS) * HOUR_US,
            (last + CONTEXT_HOURS) * HOUR_US,
        )
        apart = places.apart(connection)
    dwell, known, duty = dosed(seen, resolution, None, apart)
    with database.write() as connection:
        return coverage.replace_dwell(connection, mine, dwell, known, duty)


@contextmanager
def _claimed(database: Database, hours: Ints, wait: bool) -> Iterator[Ints]:
    """Those of the hours that nobody else derives meanwhile, in this process or in another.

    One derivation at a time in a process, so that those that wait hold no connection. A process
    that dies lets go of its hours.
    """
    if not database.derivation.acquire(timeout=coverage.CLAIM_WAIT_S if wait else 0):
        if wait:
            raise DatabaseAway("what is to be derived first takes too long; try again")
        yield hours[:0]
        return
    try:
        if database.is_sqlite:
            yield hours
            return
        with database.write() as connection:
            yield coverage.claim_hours(connection, hours, wait)
    finally:
        database.derivation.release()


def _redo_another_resolution(database: Database, resolution: int) -> None:
    """Marks what was derived at another resolution as dirty, as far back as there are pings."""
    with database.read() as connection:
        newest = coverage.newest_cell(connection)
    if newest is not None and int(resolutions(np.array([newest]))[0]) != resolution:
        with database.write() as connection:
            coverage.mark_derived_dirty(connection)


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


def _at(stored: Dosage, resolution: int) -> tuple[NDArray[np.uint64], Ints, Floats]:
    """Dosage at one resolution; hours whose pings are gone may be stored at another.

    What is finer goes to the cell around; what is coarser says too little, and is left out.
    """
    fine = resolutions(stored.cell) >= resolution
    return parents(stored.cell[fine], resolution), stored.hour[fine], stored.dosage_s[fine]
