"""The table of pings by UTC day on PostgreSQL, so that old days go as whole tables.

What lies before the first such day is one table, `pings_past`: what was there when days began.
Nothing here lets intake wait: a day is made as a table of its own and attached, and is detached
concurrently before it is dropped.
"""
# ruff: noqa: S608  every name that stands in a statement here is made here

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from app.shifts import DAY_US
from app.store.columns import is_postgres
from app.tables import pings as table

PAST = f"{table.name}_past"
KNOWN = "days with a partition"  # in what a connection of the pool remembers

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """A partition: its name, and the UTC day that it holds, counted from 1970."""

    name: str
    day: int


def make_days(c: Connection, time_us: Ints) -> None:
    """Makes sure that each instant (n,) ascending [µs UTC] has a partition; nothing on SQLite.

    To be called before any row is locked, so that nobody who waits for a day keeps others waiting.
    """
    if not len(time_us) or not is_postgres(c):
        return
    first, last = int(time_us[0]) // DAY_US, int(time_us[-1]) // DAY_US
    wanted = {first, last} if last - first < 2 else set(np.unique(time_us // DAY_US).tolist())
    known: set[int] = c.info.setdefault(KNOWN, set())
    if wanted <= known:
        return
    there = set(_days(c, wanted))
    known |= there  # only what is committed
    if missing := sorted(wanted - there):
        # One at a time; this lock keeps nobody from reading or writing.
        c.execute(text(f"LOCK TABLE {table.name} IN SHARE UPDATE EXCLUSIVE MODE"))
        there = set(_days(c, wanted))
        for day in missing:
            if day not in there:
                _make(c, day)


def list_days(c: Connection) -> list[Day]:
    """The partitions of single days, the oldest first; none on SQLite."""
    if not is_postgres(c):
        return []
    named = f"SELECT relname FROM {_PARTITIONS} WHERE relname <> '{PAST}' AND NOT inhdetachpending"
    return sorted((_day_of(name) for name in c.scalars(text(named))), key=lambda found: found.day)


def drop_day(c: Connection, day: Day) -> None:
    """Takes a day out and drops it, on a connection where each statement stands for itself.

    Waits for those who read pings just now, and lets nobody wait.
    """
    c.exec_driver_sql(f"ALTER TABLE {table.name} DETACH PARTITION {day.name} CONCURRENTLY")
    c.exec_driver_sql(f"DROP TABLE {day.name}")
    forget_days(c)


def drop_leftovers(c: Connection) -> None:
    """Ends what an earlier `drop_day` was kept from ending."""
    pending = f"SELECT relname FROM {_PARTITIONS} WHERE inhdetachpending"
    for name in c.scalars(text(pending)).all():
        c.exec_driver_sql(f"ALTER TABLE {table.name} DETACH PARTITION {name} FINALIZE")
    for name in c.scalars(text(_DETACHED)).all():
        c.exec_driver_sql(f"DROP TABLE {name}")


def forget_days(c: Connection) -> None:
    """Has this connection look for days again."""
    c.info.pop(KNOWN, None)


def _days(c: Connection, wanted: set[int]) -> list[int]:
    """Which of these days have a partition, be it that of the past."""
    bound = text(
        "SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''?(-?[0-9]+)')::bigint"
        " FROM pg_class WHERE oid = CAST(:name AS regclass)"
    )
    first = c.scalar(bound, {"name": PAST}) // DAY_US
    there = {found.day for found in list_days(c)}
    return [day for day in wanted if day < first or day in there]


def _make(c: Connection, day: int) -> None:
    name = _name_of(day)
    c.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")  # detached, but not yet dropped
    c.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)")
    bounds = f"FROM ({day * DAY_US}) TO ({(day + 1) * DAY_US})"
    c.exec_driver_sql(f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES {bounds}")


def _name_of(day: int) -> str:
    return f"{table.name}_{str(np.datetime64(day, 'D')).replace('-', '')}"


def _day_of(name: str) -> Day:
    year, month, rest = name[-8:-4], name[-4:-2], name[-2:]
    return Day(name, int(np.datetime64(f"{year}-{month}-{rest}", "D").astype(np.int64)))


_PARTITIONS = (
    f"pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    f" AND inhparent = CAST('{table.name}' AS regclass) AND relkind = 'r'"
)
_DETACHED = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
    f" AND relnamespace = (SELECT relnamespace FROM pg_class"
    f" WHERE oid = CAST('{table.name}' AS regclass)) AND relname ~ '^{table.name}_[0-9]{{8}}$'"
)
