"""Dosage per cell for any interval, resolution, duty and state: the layers of patrol."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.coverage import derive, dosed, stays_on_duty
from app.db import Database
from app.errors import Invalid
from app.geo.duty import PATROL_DUTIES, PATROL_STATES, DutyRows, selected_s
from app.geo.dwell import CONTEXT_HOURS, Coverage, Dwell
from app.geo.fixes import Pings
from app.geo.grid import Cells, Floats, Grid, grid_of, index_of
from app.geo.presence import presence_of
from app.geo.stays import DUTIES, STATES
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US
from app.store import coverage, pings, places
from app.store.districts import District
from app.store.retention import first_open_hour

BLOCK_HOURS = 6  # of pings read at once
MOST_DAYS = 31
MOST_DAYS_OF_PINGS = 7  # where it is computed from pings, and for presence

DUTIES_OF = {"patrol": PATROL_DUTIES, "all": tuple(range(len(DUTIES)))} | {
    name: (code,) for code, name in enumerate(DUTIES)
}
STATES_OF = {"patrol": PATROL_STATES, "all": tuple(range(len(STATES)))} | {
    name: (code,) for code, name in enumerate(STATES)
}


@dataclass(frozen=True)
class Request:
    """Which dosage: `[from_us, until_us)`, an H3 resolution, names of DUTIES_OF and STATES_OF."""

    from_us: int
    until_us: int
    resolution: int
    duty: str = "patrol"
    state: str = "patrol"


@dataclass(frozen=True)
class Layer:
    """Cells of a district with any dosage, or that may have some, sorted, each (m,).

    `unit_s` [s] of all units together, `low_s` and `high_s` around it (None where only some duties
    are asked for), `presence_s` with at least one of them (None where it is not computed).
    `basis`: `dwell`, which is stored, or `pings`. `last_us`: the newest ping before the end.
    """

    cell: Cells
    unit_s: Floats
    low_s: Floats | None
    high_s: Floats | None
    presence_s: Floats | None
    observed_s: float
    unobserved_s: float
    basis: str
    last_us: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Rows:
    """Dwell per hour, unit and cell with its duty, and what is known of the hours."""

    dwell: Dwell
    known: Coverage
    duty: DutyRows


def layer(
    database: Database, settings: Settings, district: District, request: Request, now_us: int
) -> Layer:
    """The dosage of a district's cells, whose centres lie in it.

    At the resolution that is stored, whole hours come from what is derived (deriving first what is
    dirty), for as long as there is any; the rest, and every other resolution, from the pings that
    are still there, since cells of one resolution do not quite nest in those of another. Raises
    Invalid for an interval that is too long, DatabaseAway.
    """
    until_us = min(request.until_us, now_us)
    days = (request.until_us - request.from_us) / DAY_US
    stored = request.resolution == settings.plan_resolution
    _refuse_long(days, stored)
    grid = grid_of(district.geometry, request.resolution)
    first, last = -(-request.from_us // HOUR_US), until_us // HOUR_US
    use_stored = stored and first < last
    if use_stored:
        derive(database, request.resolution, first, last, wait=True)
    with database.read() as connection:
        apart = places.apart(connection)
        parts: list[_Rows] = []
        for low_us, high_us in _computed(request.from_us, until_us, use_stored):
            seen = _around(connection, low_us, high_us)
            parts.append(_Rows(*dosed(seen, request.resolution, (low_us, high_us), apart)))
        if use_stored:
            parts.append(_stored(connection, first, last))
        presence_s, notes = _presence(connection, request, until_us, grid, apart, days)
        last_us = pings.last_before_us(connection, until_us)
        notes += _lost(connection, request, stored)
    unit_s, low_s, high_s = _sums(parts, grid, request)
    bounded = request.duty in ("patrol", "all")  # a cell beside has no duty of its own
    some = (unit_s > 0) | (bounded & (high_s > 0))
    return Layer(
        grid.cells[some],
        unit_s[some],
        low_s[some] if bounded else None,
        high_s[some] if bounded else None,
        None if presence_s is None else presence_s[some],
        float(sum(part.known.observed_s.sum() for part in parts)),
        float(sum(part.known.unobserved_s.sum() for part in parts)),
        "dwell" if stored else "pings",
        last_us,
        tuple(notes),
    )


def _refuse_long(days: float, stored: bool) -> None:
    most = MOST_DAYS if stored else MOST_DAYS_OF_PINGS
    if days > most:
        why = "" if stored else " at a resolution that is not stored"
        raise Invalid(f"from, to: at most {most} days at once{why}")


def _computed(from_us: int, until_us: int, stored: bool) -> list[tuple[int, int]]:
    """The intervals to be computed from pings: the ends beside whole hours, or all in blocks."""
    if until_us <= from_us:
        return []
    if stored:
        first_us = -(-from_us // HOUR_US) * HOUR_US
        last_us = until_us // HOUR_US * HOUR_US
        ends = [(from_us, first_us), (last_us, until_us)]
        return [(low, high) for low, high in ends if high > low]
    return _blocks(from_us, until_us)


def _blocks(from_us: int, until_us: int) -> list[tuple[int, int]]:
    """The interval in pieces of BLOCK_HOURS that end with hours."""
    size_us = BLOCK_HOURS * HOUR_US
    cuts = range(from_us // size_us * size_us + size_us, until_us, size_us)
    return list(zip([from_us, *cuts], [*cuts, until_us], strict=True))


def _around(c: Connection, low_us: int, high_us: int) -> Pings:
    """All pings that bear on an interval."""
    first, last = low_us // HOUR_US - CONTEXT_HOURS, -(-high_us // HOUR_US) + CONTEXT_HOURS
    return pings.read_pings(c, None, first * HOUR_US, last * HOUR_US)


def _stored(c: Connection, first: int, last: int) -> _Rows:
    return _Rows(
        coverage.read_dwell(c, first, last),
        coverage.read_coverage(c, first, last),
        coverage.read_duty(c, first, last),
    )


def _sums(parts: list[_Rows], grid: Grid, request: Request) -> tuple[Floats, Floats, Floats]:
    """Seconds per cell of the grid, and the bounds around them: three (m,).

    The error of a part of a row is at most that of the row; those of rows are added, which is
    wider than need be.
    """
    duties, states = DUTIES_OF[request.duty], STATES_OF[request.state]
    total, low, high = (np.zeros(len(grid)) for _ in range(3))
    for part in parts:
        dwell = part.dwell
        seconds = selected_s(dwell, part.duty, duties, states)
        less, more = dwell.dwell_s - dwell.dwell_low_s, dwell.dwell_high_s - dwell.dwell_s
        at = index_of(grid, dwell.cell)
        inside = at >= 0
        for sums, values in (
            (total, seconds),
            (low, np.maximum(seconds - less, 0.0)),
            (high, seconds + more),
        ):
            sums += np.bincount(at[inside], values[inside], len(grid))
    return total, low, high


def _presence(
    c: Connection,
    request: Request,
    until_us: int,
    grid: Grid,
    apart: shapely.MultiPolygon | None,
    days: float,
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Presence per cell of the grid, or why there is none: it needs to know when, not how long."""
    if days > MOST_DAYS_OF_PINGS:
        return None, [f"presence_s is computed for at most {MOST_DAYS_OF_PINGS} days at once"]
    if _is_lost(c, request):
        return None, ["presence_s needs pings, and those of this interval are deleted by age"]
    total = np.zeros(len(grid))
    duties: Collection[int] = DUTIES_OF[request.duty]
    states: Collection[int] = STATES_OF[request.state]
    blocks = _blocks(request.from_us, until_us) if until_us > request.from_us else []
    for low_us, high_us in blocks:
        seen = _around(c, low_us, high_us)
        stays = stays_on_duty(seen, request.resolution, apart).within(low_us, high_us)
        chosen = np.isin(stays.duty, list(duties)) & np.isin(stays.state, list(states))
        found = presence_of(stays.take(chosen))
        at = index_of(grid, found.cell)
        total[at[at >= 0]] += found.presence_s[at >= 0]
    return total, []


def _lost(c: Connection, request: Request, stored: bool) -> list[str]:
    """What is said where the interval begins before the pings that are left."""
    if stored or not _is_lost(c, request):
        return []
    return ["this resolution is computed from pings, and the oldest of them are deleted by age"]


def _is_lost(c: Connection, request: Request) -> bool:
    """Whether pings of the interval are deleted of which something was derived."""
    derived = coverage.oldest_hour(c)
    if derived is None:
        return False
    return max(derived, request.from_us // HOUR_US) < first_open_hour(c)
