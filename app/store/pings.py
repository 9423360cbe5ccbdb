"""Pings: the hot path in, and the columns out.

A ping is identified by (unit, instant). Of several with one identity the one whose content sorts
first is kept, in whatever order they come: by lat, lon, speed, heading, accuracy, status, smaller
first, and what was not sent before what was.

Whoever writes facts of a unit, or what is derived from them, first locks the unit's row, in order
of the numbers (on SQLite there is one writer anyway). So no two writers wait in a circle, and
nobody adds a ping while another decides about the same one.
"""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

import sqlite3
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, SmallInteger, cast, func, select

from app.geo.fixes import NOT_SENT, Pings
from app.shifts import HOUR_US
from app.store import columns
from app.store.coverage import mark_dirty
from app.store.partitions import make_days
from app.store.units import lock_units, move_units
from app.tables import pings as table

IDENTITY = ("time_us", "unit")  # the order of the key
CONTENT = ("lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "status")
FEW_UNITS = 50  # so many are named in the query; more are picked out of all that is read

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


def add_pings(c: Connection, pings: Pings, reach_us: int = 0) -> Mask:
    """Which rows brought an identity that was not there, (n,) bool; all others are duplicates.

    Of several rows with one identity the first brought it, whichever's content is kept. Marks as
    dirty the hours of each row that is new or replaced, and the hours within `reach_us` [µs] of
    it, as far as derivation looks beyond an hour's end. Moves the last position of units.
    """
    result = np.zeros(len(pings), dtype=np.bool_)
    if len(pings) == 0:
        return result
    batch, came = first_of_each(pings)
    changed, new = (_write_postgres if columns.is_postgres(c) else _write_sqlite)(c, batch)
    if changed.any():
        written = batch.take(changed)
        with columns.together(c):
            mark_dirty(c, *_hours(written, reach_us))
            move_units(c, _newest(written))
    result[came[new]] = True
    return result


def read_pings(c: Connection, units: Ints | None, from_us: int, to_us: int) -> Pings:
    """The pings of these units (None: all) in `[from_us, to_us)`, sorted by unit and time."""
    status = cast(func.coalesce(table.c.status, NOT_SENT), SmallInteger).label("status")
    others = [table.c[column.name] for column in fields(Pings) if column.name != "status"]
    query = select(*others, status).where(table.c.time_us >= from_us, table.c.time_us < to_us)
    if units is not None and len(units) <= FEW_UNITS:
        query = query.where(table.c.unit.in_(np.asarray(units).tolist()))
    found = columns.read(c, query)
    pings = Pings(**found | {"status": found["status"].astype(np.int8)})
    if units is not None and len(units) > FEW_UNITS:
        pings = pings.take(np.isin(pings.unit, units))
    return pings.ordered()


def silences(c: Connection, from_us: int, until_us: int, stale_us: int) -> list[tuple[int, int]]:
    """Stretches of `[from_us, until_us)` in which no unit at all was heard for over `stale_us`.

    Each from the last ping (or `from_us`) to the next (or `until_us`), in order of time. Jumps
    from ping to ping along the key, so that it takes a few look-ups for any number of pings.
    """
    t = table.c.time_us
    found = []
    heard_us = c.scalar(select(func.max(t)).where(t < until_us, t <= from_us))
    at_us = int(heard_us) if heard_us is not None else from_us - stale_us - 1
    while at_us + stale_us < until_us:
        within = select(func.max(t)).where(t > at_us, t <= at_us + stale_us, t < until_us)
        next_us = c.scalar(within)
        if next_us is None:
            after = select(func.min(t)).where(t > at_us + stale_us, t < until_us)
            heard_us = c.scalar(after)
            next_us = until_us if heard_us is None else int(heard_us)
            if next_us > from_us:
                found.append((max(at_us, from_us), next_us))
        at_us = int(next_us)
    return found


def last_before_us(c: Connection, until_us: int) -> int | None:
    """The instant of the newest ping of any unit before an instant; None where there is none."""
    found = c.scalar(select(func.max(table.c.time_us)).where(table.c.time_us < until_us))
    return None if found is None else int(found)


def first_of_each(pings: Pings) -> tuple[Pings, Ints]:
    """One row per identity, sorted by time and unit, and which row came first with each.

    The row is the one whose content sorts first.
    """
    order = came = np.lexsort((pings.unit, pings.time_us))
    unit, time_us = pings.unit[order], pings.time_us[order]
    repeated = (unit[1:] == unit[:-1]) & (time_us[1:] == time_us[:-1])
    if repeated.any():
        content = [_comparable(pings, name) for name in reversed(CONTENT)]
        first = np.concatenate([[True], ~repeated])
        order = np.lexsort((*content, pings.unit, pings.time_us))[first]
        came = came[first]  # rows of one identity stand in the order of their arrival
    batch = pings.take(order)
    # -0.0 equals 0.0 but is other bytes: which of both is kept must not depend on who came first.
    return Pings(*(getattr(batch, column.name) + 0 for column in fields(Pings))), came


def sorts_before(a: Pings, b: Pings) -> Mask:
    """Where the content of `a` sorts before that of `b`, row by row. (n,) bool."""
    before = np.zeros(len(a), dtype=np.bool_)
    tied = ~before
    for name in CONTENT:
        mine, other = _comparable(a, name), _comparable(b, name)
        before |= tied & (mine < other)
        tied &= mine == other
    return before


def _comparable(pings: Pings, name: str) -> NDArray[Any]:
    """A column of content with -inf where nothing was sent (the status has its -1)."""
    column = getattr(pings, name)
    return column if name == "status" else np.where(np.isnan(column), -np.inf, column)


def _hours(pings: Pings, reach_us: int) -> tuple[Ints, Ints]:
    """The distinct (unit, hour) of the pings and of what lies within reach of them."""
    first = np.floor_divide(pings.time_us - reach_us, HOUR_US)
    last = np.floor_divide(pings.time_us + reach_us, HOUR_US)
    steps = range(int((last - first).max()) + 1)
    hour = np.concatenate([np.minimum(first + k, last) for k in steps])
    both = np.unique((hour << 32) + np.tile(pings.unit, len(steps)))
    return both & 0xFFFFFFFF, both >> 32


def _newest(pings: Pings) -> Pings:
    """The last row of each unit; the rows come sorted by time."""
    _, back = np.unique(pings.unit[::-1], return_index=True)
    return pings.take(len(pings) - 1 - back)


def _sent(pings: Pings) -> dict[str, NDArray[Any]]:
    """The columns by name, identity first, without those that no row sent."""
    sent = {name: getattr(pings, name) for name in (*IDENTITY, *CONTENT)}
    for name in CONTENT[2:]:
        column = sent[name]
        if bool((column == NOT_SENT).all() if name == "status" else np.isnan(column).all()):
            del sent[name]
    return sent


def _write_sqlite(c: Connection, batch: Pings) -> tuple[Mask, Mask]:
    """Which rows were written, and which of them are new.

    Inserts until a row is there already, and only then looks which of the rest are.
    """
    new = np.ones(len(batch), dtype=np.bool_)
    done = _insert_sqlite(c, batch)
    if done == len(batch):
        return new, new
    rest = batch.take(slice(done, None))
    there, stored = _stored_sqlite(c, rest)
    new[done + there] = False
    replaced = there[sorts_before(rest.take(there), stored)]
    _insert_sqlite(c, rest.take(new[done:]))
    _replace_sqlite(c, rest.take(replaced))
    changed = new.copy()
    changed[done + replaced] = True
    return changed, new


def _insert_sqlite(c: Connection, batch: Pings) -> int:
    """How many rows went in before one that was there already."""
    sent = _sent(batch)
    marks = ", ".join(f"NULLIF(?, {NOT_SENT})" if name == "status" else "?" for name in sent)
    statement = f"INSERT INTO {table.name} ({', '.join(sent)}) VALUES ({marks})"
    before = columns.driver(c).total_changes
    try:
        columns.many(c, statement, sent)
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
            raise
    return int(columns.driver(c).total_changes - before)


def _stored_sqlite(c: Connection, pings: Pings) -> tuple[Ints, Pings]:
    """Which rows are stored under their identity, and what is stored there."""
    connection = columns.driver(c)
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS incoming (i INTEGER PRIMARY KEY, time_us, unit)"
    )
    keys = {"i": np.arange(len(pings)), "time_us": pings.time_us, "unit": pings.unit}
    columns.many(c, "INSERT INTO incoming VALUES (?, ?, ?)", keys)
    kinds = {"i": "i8"} | {column.name: "f8" for column in fields(Pings)}
    kinds |= {"unit": "i8", "time_us": "i8", "status": "i2"}
    names = ", ".join(list(kinds)[1:-1])
    found = columns.fetch(  # CROSS JOIN: SQLite looks up each incoming row, whatever it guesses
        connection.execute(
            f"SELECT i, {names}, COALESCE(status, {NOT_SENT})"
            f" FROM incoming AS s CROSS JOIN {table.name} AS t USING (time_us, unit)"
        ),
        kinds,
    )
    connection.execute("DELETE FROM incoming")
    there = found.pop("i")
    return there, Pings(**found | {"status": found["status"].astype(np.int8)})


def _replace_sqlite(c: Connection, pings: Pings) -> None:
    sets = ", ".join(f"{name} = ?" for name in CONTENT[:-1])
    statement = (
        f"UPDATE {table.name} SET {sets}, status = NULLIF(?, {NOT_SENT})"
        " WHERE time_us = ? AND unit = ?"
    )
    columns.many(c, statement, {name: getattr(pings, name) for name in (*CONTENT, *IDENTITY)})


def _write_postgres(c: Connection, batch: Pings) -> tuple[Mask, Mask]:
    """Which rows were written, and which of them are new.

    Inserts what is newer than all of its unit's pings, so cannot be there; upserts the rest.
    """
    make_days(c, batch.time_us)
    numbers, place = np.unique(batch.unit, return_inverse=True)
    newer = batch.time_us > lock_units(c, numbers)[place]
    if newer.any():
        sent = _sent(batch.take(newer))
        values = ", ".join(_without_nan(name) for name in sent)
        into = f"INSERT INTO {table.name} ({', '.join(sent)})"
        columns.many(c, f"{into} SELECT {values} FROM {columns.unnest(sent)}", sent)
    if newer.all():
        return newer, newer
    changed, new = newer.copy(), newer.copy()
    changed[~newer], new[~newer] = _upsert_postgres(c, batch.take(~newer))
    return changed, new


def _upsert_postgres(c: Connection, batch: Pings) -> tuple[Mask, Mask]:
    """Which rows were written, and which of them are new.

    The key finds what is there, the content decides. Every part of the statement sees the table as
    it was before, so those that were there are known (a partitioned table does not tell by xmax).
    """
    sent = _sent(batch)
    values = ", ".join(_without_nan(name) for name in sent)
    sets = ", ".join(f"{name} = excluded.{name}" for name in CONTENT)
    bounds = f"BETWEEN {int(batch.time_us[0])} AND {int(batch.time_us[-1])}"
    statement = (
        f"WITH s AS MATERIALIZED (SELECT * FROM {columns.unnest(sent)}),"
        f" there AS MATERIALIZED (SELECT t.time_us, t.unit FROM s JOIN {table.name} AS t"
        f" ON t.time_us = s.time_us AND t.unit = s.unit AND t.time_us {bounds}),"
        f" written AS (INSERT INTO {table.name} AS t ({', '.join(sent)})"
        f" SELECT {values} FROM s"
        f" ON CONFLICT (time_us, unit) DO UPDATE SET {sets}"
        f" WHERE {_content_postgres('excluded')} < {_content_postgres('t')}"
        " RETURNING t.time_us, t.unit)"
        " SELECT array_agg(written.time_us), array_agg(written.unit::int8),"
        " array_agg(CAST(there.unit IS NULL AS int)::int8)"
        " FROM written LEFT JOIN there USING (time_us, unit)"
    )
    cursor = columns.many(c, statement, sent)
    time_us, unit, new = (columns.array_of(cursor, i, "i8") for i in range(3))
    inserted = new == 1
    if inserted.all() and len(new) == len(batch):
        return inserted, inserted
    among = _are_among(batch, time_us[inserted], unit[inserted])
    return _are_among(batch, time_us, unit), among


def _are_among(batch: Pings, time_us: Ints, unit: Ints) -> Mask:
    """Which rows have one of these identities. (n,) bool."""
    instants, rank = np.unique(batch.time_us, return_inverse=True)
    mine = (rank << 32) + batch.unit
    result: Mask = np.isin(mine, (np.searchsorted(instants, time_us) << 32) + unit)
    return result


def _without_nan(name: str) -> str:
    if name == "status":
        return f"NULLIF(s.status, {NOT_SENT})"
    return f"NULLIF(s.{name}, 'NaN')" if name in CONTENT[2:] else f"s.{name}"


def _content_postgres(row: str) -> str:
    optional = (f"COALESCE({row}.{name}, '-Infinity')" for name in CONTENT[2:-1])
    return f"({row}.lat, {row}.lon, {', '.join(optional)}, COALESCE({row}.status, {NOT_SENT}))"
