"""Pings deleted by age, in steps that keep nobody waiting; what was derived of them stays."""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from app.geo.dwell import CONTEXT_HOURS
from app.shifts import HOUR_US
from app.store.columns import is_postgres
from app.store.partitions import PAST
from app.tables import dirty_hours, retention
from app.tables import pings as table

FIRST_HOUR = -(2**31)  # before all
LOCK = 0x466F_6375_7352_6574  # any number that nobody else locks: "FocusRet"


def only_one(c: Connection) -> bool:
    """Whether this connection alone deletes by age, until `let_others`. Always on SQLite."""
    return not is_postgres(c) or bool(c.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")))


def let_others(c: Connection) -> None:
    """Ends `only_one`."""
    if is_postgres(c):
        c.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))


def deletable_before_us(c: Connection, before_us: int) -> int:
    """The latest instant up to `before_us` before which no ping bears on a dirty hour."""
    oldest = c.scalar(select(func.min(dirty_hours.c.hour)))
    if oldest is None:
        return before_us
    return min(before_us, (int(oldest) - CONTEXT_HOURS) * HOUR_US)


def note_deleted(c: Connection, before_us: int) -> None:
    """Notes that pings before an instant are about to go; to be on disk before they are."""
    kind = postgresql if is_postgres(c) else sqlite
    added = kind.insert(retention).values(name=table.name, before_us=before_us)
    c.execute(
        added.on_conflict_do_update(
            index_elements=["name"],
            set_={"before_us": before_us},
            where=retention.c.before_us < before_us,
        )
    )


def first_open_hour(c: Connection) -> int:
    """The first hour all of whose pings are there, those around it included.

    What was derived of earlier hours can no longer be derived again.
    """
    query = select(retention.c.before_us).where(retention.c.name == table.name)
    before_us = c.scalar(query)
    return FIRST_HOUR if before_us is None else -(-before_us // HOUR_US) + CONTEXT_HOURS


def delete_oldest(c: Connection, before_us: int, limit: int) -> int:
    """How many pings before an instant were deleted: the oldest, about `limit` at most.

    On PostgreSQL only from the table of the past; later ones go by days.
    """
    name = PAST if is_postgres(c) else table.name
    bounds = {"before_us": before_us, "limit": limit}
    # Whole instants: the table is in order of time, so that they lie side by side.
    end = c.scalar(
        text(
            f"SELECT max(time_us) FROM (SELECT time_us FROM {name} WHERE time_us < :before_us"
            " ORDER BY time_us LIMIT :limit) AS oldest"
        ),
        bounds,
    )
    if end is None:
        return 0
    gone = c.execute(text(f"DELETE FROM {name} WHERE time_us <= :end"), {"end": end})
    return gone.rowcount
