"""Dwell and coverage per unit, cell and hour; which hours are dirty; dosage per cell.

A dirty hour has a mark. 0 says that nobody has read its facts since the last of them came in, and
then further facts have nothing to write. Who is to derive an hour takes it up: sets the mark to a
number of his own while he has the unit locked, as everybody has who adds facts. So whoever adds
facts later sees that number and sets 0 again, and whoever added them before has committed, so that
they are read. `replace_dwell` then settles exactly those hours whose mark is still that number; an
hour that got new facts meanwhile, or that somebody else took up or settled, is left as it is. So
hours may be derived by many at once, and none is forgotten.

That none is derived twice for nothing is what `claim_hours` is for.
"""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

import secrets
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select, update

from app.geo.duty import DutyRows, no_duty_rows, patrol_s
from app.geo.dwell import Coverage, Dwell
from app.geo.grid import Cells
from app.shifts import HOUR_US
from app.store import columns
from app.store.retention import first_open_hour
from app.store.units import lock_units
from app.tables import coverage as coverage_table
from app.tables import dirty_hours, dwell_duty
from app.tables import dwell as dwell_table
from app.tables import pings as pings_table

CLAIM = 0x666F_6375  # any number that nobody else locks: "focu"
CLAIM_WAIT_S = 60  # for somebody else who derives an hour

Ints = NDArray[np.int64]

_CHUNK = 500  # SQLite takes 999 parameters in its oldest builds


@dataclass(frozen=True)
class DirtyHours:
    """Hours to be derived again, sorted by (hour, unit); all (n,) int64.

    `mark`: 0 where nobody has read the facts, else the number of who took the hour up last.
    """

    unit: Ints
    hour: Ints
    mark: Ints

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "DirtyHours":
        """The rows that an index array, a mask or a slice selects."""
        return DirtyHours(self.unit[index], self.hour[index], self.mark[index])


@dataclass(frozen=True)
class Dosage:
    """Seconds of patrol per cell and UTC hour, sorted by (hour, cell).

    Transit is left out, and so is what is no patrol: off duty, or at a station and the like.

    `cell` (n,) uint64, `hour` (n,) int64, `dosage_s` (n,) float64.
    """

    cell: NDArray[np.uint64]
    hour: Ints
    dosage_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cell)


def mark_dirty(c: Connection, unit: Ints, hour: Ints) -> None:
    """Marks hours, distinct pairs, to be derived again. The caller has locked the units.

    Writes nothing where an hour is marked already and nobody has taken it up.
    """
    if len(unit) == 0:
        return
    keys = {"hour": hour, "unit": unit}
    into = f"INSERT INTO {dirty_hours.name} AS d (hour, unit, mark)"
    end = "ON CONFLICT (hour, unit) DO UPDATE SET mark = 0"
    if columns.is_postgres(c):
        unread = "d.hour = s.hour AND d.unit = s.unit AND d.mark = 0"
        left = f"WHERE NOT EXISTS (SELECT FROM {dirty_hours.name} AS d WHERE {unread})"
        rows = f"SELECT hour, unit, 0 FROM {columns.unnest(keys)}"
        columns.many(c, f"{into} {rows} {left} {end}", keys)
    else:
        columns.many(c, f"{into} VALUES (?, ?, 0) {end} WHERE d.mark <> 0", keys)


def claim_hours(c: Connection, hours: Ints, wait: bool) -> Ints:
    """Those of the hours (n,) ascending that are this transaction's alone until it ends.

    With `wait`, all of them, once those who have them are done; else those that nobody has. On
    SQLite all of them: it has one process that serves.
    """
    if not columns.is_postgres(c):
        return hours
    if wait:
        c.exec_driver_sql(f"SET LOCAL lock_timeout = '{CLAIM_WAIT_S}s'")
        lock = f"pg_advisory_xact_lock({CLAIM}, hour) IS NOT NULL"
    else:
        lock = f"pg_try_advisory_xact_lock({CLAIM}, hour)"
    claimed = f"SELECT array_agg(hour::int8) FROM {columns.unnest({'hour': hours})} WHERE {lock}"
    cursor = columns.many(c, claimed, {"hour": hours.astype(np.int32)})
    return columns.array_of(cursor, 0, "i8")


def take_up(c: Connection, some: DirtyHours) -> DirtyHours:
    """Those of the hours that are still dirty, marked as read from now on; others may add facts.

    The facts are to be read after this is committed. Hours of which older pings were deleted are
    no longer dirty: what was derived of them stays as it is.
    """
    if len(some) == 0:
        return some
    lock_units(c, np.unique(some.unit))
    mark = secrets.randbits(62) + 1
    keys = {"hour": some.hour, "unit": some.unit}
    if columns.is_postgres(c):
        same = "d.hour = s.hour AND d.unit = s.unit"
        update = f"UPDATE {dirty_hours.name} AS d SET mark = {mark}"
        columns.many(c, f"{update} FROM {columns.unnest(keys)} WHERE {same}", keys)
    else:
        same = "hour = ? AND unit = ?"
        columns.many(c, f"UPDATE {dirty_hours.name} SET mark = {mark} WHERE {same}", keys)
    now = dirty(c, int(some.hour.min()), int(some.hour.max()) + 1)
    mine = now.take(now.mark == mark)
    closed = mine.hour < first_open_hour(c)
    gone = mine.take(closed)
    columns.delete(c, dirty_hours, {"hour": gone.hour, "unit": gone.unit})
    return mine.take(~closed)


def dirty(c: Connection, from_hour: int | None = None, to_hour: int | None = None) -> DirtyHours:
    """The dirty hours in `[from_hour, to_hour)`; None leaves that end open."""
    t = dirty_hours.c
    query = select(t.unit, t.hour, t.mark)
    if from_hour is not None:
        query = query.where(t.hour >= from_hour)
    if to_hour is not None:
        query = query.where(t.hour < to_hour)
    found = columns.read(c, query)
    order = np.lexsort((found["unit"], found["hour"]))
    return DirtyHours(**found).take(order)


def newest_cell(c: Connection) -> int | None:
    """A cell of the newest hour that has dwell; None where nothing is derived."""
    t = dwell_table.c
    cell = c.scalar(select(t.cell).order_by(t.hour.desc(), t.unit, t.cell).limit(1))
    return None if cell is None else int(cell)


def mark_derived_dirty(c: Connection) -> None:
    """Marks every derived hour to be derived again, as far back as all its pings are there."""
    oldest_us = c.scalar(select(func.min(pings_table.c.time_us)))
    if oldest_us is None:
        return
    first = max(oldest_us // HOUR_US, first_open_hour(c))
    t = coverage_table.c
    found = columns.read(c, select(t.unit, t.hour).where(t.hour >= first))
    lock_units(c, np.unique(found["unit"]))
    mark_dirty(c, found["unit"], found["hour"])


def mark_all_dirty(c: Connection) -> None:
    """Marks all that can be derived again, and what is being derived at this moment, too."""
    mark_derived_dirty(c)
    lock_units(c, np.unique(dirty(c).unit))
    c.execute(update(dirty_hours).values(mark=0))


def replace_dwell(
    c: Connection,
    derived: DirtyHours,
    dwell: Dwell,
    coverage: Coverage,
    duty: DutyRows | None = None,
) -> int:
    """How many of the hours were settled: their rows replaced, their marks cleared.

    `derived` is what `take_up` gave (or part of it); `dwell`, `coverage` and `duty` the rows of
    those hours and no others; an hour may have none. Hours whose mark has changed keep theirs.
    """
    if len(derived) == 0:
        return 0
    lock_units(c, np.unique(derived.unit))
    now = dirty(c, int(derived.hour.min()), int(derived.hour.max()) + 1)
    settled = derived.take(np.isin(_pair(derived.unit, derived.hour), _still(derived, now)))
    pairs = _pair(settled.unit, settled.hour)
    keys = {"hour": settled.hour, "unit": settled.unit}
    duty = no_duty_rows() if duty is None else duty
    for table, rows in (
        (dwell_table, dwell),
        (coverage_table, coverage),
        (dwell_duty, duty),
    ):
        columns.delete(c, table, keys)
        chosen = np.isin(_pair(rows.unit, rows.hour), pairs)
        columns.insert(
            c, table, {column.name: getattr(rows, column.name)[chosen] for column in fields(rows)}
        )
    columns.delete(c, dirty_hours, keys)
    return len(settled)


def dosage(c: Connection, from_hour: int, to_hour: int) -> Dosage:
    """Patrol per cell and hour in `[from_hour, to_hour)`.

    Summed in the order of units, so the same rows give the same bytes on any database.
    """
    dwell = read_dwell(c, from_hour, to_hour)
    seconds = patrol_s(dwell, read_duty(c, from_hour, to_hour))
    order = np.lexsort((dwell.unit, dwell.cell, dwell.hour))
    hour, cell = dwell.hour[order], dwell.cell[order]
    first = np.ones(len(hour), dtype=np.bool_)
    first[1:] = (hour[1:] != hour[:-1]) | (cell[1:] != cell[:-1])
    sums = np.bincount(np.cumsum(first) - 1, weights=seconds[order]).astype(np.float64)
    return Dosage(cell[first], hour[first], sums)


def read_dwell(c: Connection, from_hour: int, to_hour: int) -> Dwell:
    """The dwell of the hours in `[from_hour, to_hour)`, sorted by (hour, unit, cell)."""
    t = dwell_table.c
    query = select(*(t[column.name] for column in fields(Dwell)))
    found = columns.read(c, query.where(t.hour >= from_hour, t.hour < to_hour))
    order = np.lexsort((found["cell"], found["unit"], found["hour"]))
    found["cell"] = found["cell"].astype(np.uint64)
    return Dwell(**{name: column[order] for name, column in found.items()})


def read_duty(c: Connection, from_hour: int, to_hour: int) -> DutyRows:
    """The known duties in the hours `[from_hour, to_hour)`, sorted by (hour, unit, cell, duty)."""
    t = dwell_duty.c
    query = select(*(t[column.name] for column in fields(DutyRows)))
    found = columns.read(c, query.where(t.hour >= from_hour, t.hour < to_hour))
    order = np.lexsort((found["duty"], found["cell"], found["unit"], found["hour"]))
    found |= {"cell": found["cell"].astype(np.uint64), "duty": found["duty"].astype(np.int8)}
    return DutyRows(**{name: column[order] for name, column in found.items()})


def hours_in(c: Connection, cells: Cells, from_hour: int, to_hour: int) -> tuple[Ints, Ints]:
    """Units and hours in `[from_hour, to_hour)` in which something is or may be in the cells.

    Those that have dwell there, and those that are dirty: two (p,) int64, distinct pairs.
    """
    t = dwell_table.c
    todo = dirty(c, from_hour, to_hour)
    pairs = [_pair(todo.unit, todo.hour)]
    for start in range(0, len(cells), _CHUNK):
        chunk = cells[start : start + _CHUNK].astype(np.int64).tolist()
        query = select(t.unit, t.hour).where(
            t.hour >= from_hour, t.hour < to_hour, t.cell.in_(chunk), t.dwell_s > 0
        )
        found = columns.read(c, query.distinct())
        pairs.append(_pair(found["unit"], found["hour"]))
    both = np.unique(np.concatenate(pairs))
    return both & 0xFFFFFFFF, both >> 32


def hours_heard(c: Connection, from_hour: int, to_hour: int) -> tuple[Ints, Ints]:
    """Units and hours in `[from_hour, to_hour)` of which there is anything, as `hours_in`."""
    known, todo = read_coverage(c, from_hour, to_hour), dirty(c, from_hour, to_hour)
    both = np.unique(np.concatenate([_pair(known.unit, known.hour), _pair(todo.unit, todo.hour)]))
    return both & 0xFFFFFFFF, both >> 32


def oldest_hour(c: Connection) -> int | None:
    """The oldest hour of which anything is derived; None where there is none."""
    found = c.scalar(select(func.min(coverage_table.c.hour)))
    return None if found is None else int(found)


def read_coverage(c: Connection, from_hour: int, to_hour: int) -> Coverage:
    """The coverage of the hours in `[from_hour, to_hour)`, sorted by (hour, unit)."""
    t = coverage_table.c
    query = select(*(t[column.name] for column in fields(Coverage)))
    found = columns.read(c, query.where(t.hour >= from_hour, t.hour < to_hour))
    order = np.lexsort((found["unit"], found["hour"]))
    return Coverage(**{name: column[order] for name, column in found.items()})


def _still(derived: DirtyHours, now: DirtyHours) -> Ints:
    """The pairs of `derived` that are in `now` with the same mark."""
    pairs = np.concatenate([_pair(derived.unit, derived.hour), _pair(now.unit, now.hour)])
    mark = np.concatenate([derived.mark, now.mark])
    order = np.lexsort((mark, pairs))
    pairs, mark = pairs[order], mark[order]
    result: Ints = pairs[1:][(pairs[1:] == pairs[:-1]) & (mark[1:] == mark[:-1])]
    return result


def _pair(unit: Ints, hour: Ints) -> Ints:
    """One number for a unit and an hour."""
    return (hour << 32) + unit
