"""Dwell and coverage per unit, cell and hour; which hours are dirty; dosage per cell.

Deriving an hour: `dirty` and the pings are read together (`Database.read` gives one view), dwell is
computed without holding anything, and `replace_dwell` takes over exactly those hours whose mark is
still the one that was read. An hour that got new facts meanwhile, or that somebody else has
derived, is left as it is. So hours may be derived by many at once, and none is forgotten.
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
from app.store.units import lock_units
from app.tables import coverage as coverage_table
from app.tables import dirty_hours, dwell_duty
from app.tables import dwell as dwell_table
from app.tables import pings as pings_table

Ints = NDArray[np.int64]

_CHUNK = 500  # SQLite takes 999 parameters in its oldest builds


@dataclass(frozen=True)
class DirtyHours:
    """Hours to be derived again, sorted by (hour, unit); all (n,) int64.

    `mark` names the state of the facts: it is another number after every change of them.
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
    """Marks hours, distinct pairs, to be derived again. The caller has locked the units."""
    if len(unit) == 0:
        return
    keys = {"hour": hour, "unit": unit}
    mark = secrets.randbits(62)
    end = f"ON CONFLICT (hour, unit) DO UPDATE SET mark = {mark}"
    into = f"INSERT INTO {dirty_hours.name} (hour, unit, mark)"
    if columns.is_postgres(c):
        columns.many(c, f"{into} SELECT hour, unit, {mark} FROM {columns.unnest(keys)} {end}", keys)
    else:
        columns.many(c, f"{into} VALUES (?, ?, {mark}) {end}", keys)


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
    """Marks every derived hour to be derived again, as far back as there are pings."""
    oldest_us = c.scalar(select(func.min(pings_table.c.time_us)))
    if oldest_us is None:
        return
    t = coverage_table.c
    found = columns.read(c, select(t.unit, t.hour).where(t.hour >= oldest_us // HOUR_US))
    lock_units(c, np.unique(found["unit"]))
    mark_dirty(c, found["unit"], found["hour"])


def mark_all_dirty(c: Connection) -> None:
    """Marks all that can be derived again, and what is being derived at this moment, too."""
    mark_derived_dirty(c)
    lock_units(c, np.unique(dirty(c).unit))
    c.execute(update(dirty_hours).values(mark=secrets.randbits(62)))


def replace_dwell(
    c: Connection,
    derived: DirtyHours,
    dwell: Dwell,
    coverage: Coverage,
    duty: DutyRows | None = None,
) -> int:
    """How many of the hours were settled: their rows replaced, their marks cleared.

    `derived` is what `dirty` gave (or part of it); `dwell`, `coverage` and `duty` the rows of those
    hours and no others; an hour may have none. Hours whose mark has changed or gone keep theirs.
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
