"""Raw pings deleted once they are older than the retention; what was derived of them stays."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from app import coverage
from app.db import Database
from app.geo.dwell import CONTEXT_HOURS
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US
from app.store import partitions, retention

ROWS_AT_ONCE = 20_000  # deleted in a transaction: tenths of a second
DAYS_AHEAD = 2  # days that exist before their first ping comes
# What is just taken in still marks an hour that reaches back so far, with its context.
MARGIN_US = (2 * CONTEXT_HOURS + 1) * HOUR_US


@dataclass(frozen=True)
class Deleted:
    """What is gone: whole days (PostgreSQL), single rows, and all before which instant [µs UTC].

    `before_us` is None where everything is kept.
    """

    days: int = 0
    rows: int = 0
    before_us: int | None = None


def retain(database: Database, settings: Settings, now_us: int) -> Deleted | None:
    """Deletes the pings that are older than the retention, and makes the days to come.

    Pings that bear on hours still to be derived stay until those are. Intake waits for no more
    than one small transaction. None where another process is at it. Raises DatabaseAway; what was
    deleted until then is, and the next time goes on.
    """
    with _alone(database) as mine:
        if not mine:
            return None
        with database.write() as c:
            ahead = now_us // DAY_US + np.arange(DAYS_AHEAD + 1)
            partitions.make_days(c, ahead * DAY_US)
        if settings.retention_days == 0:
            return Deleted()
        wanted_us = now_us - settings.retention_days * DAY_US - MARGIN_US
        # What would keep pings from being deleted; hours that others derive just now still do.
        coverage.derive(database, settings.plan_resolution, None, -(-wanted_us // HOUR_US) + 1)
        with database.write() as c:
            before_us = retention.deletable_before_us(c, wanted_us)
            retention.note_deleted(c, before_us)
        days = 0 if database.is_sqlite else _drop_days(database, before_us)
        return Deleted(days, _delete_rows(database, before_us), before_us)


@contextmanager
def _alone(database: Database) -> Iterator[bool]:
    """Whether no other process is at it; on SQLite there is none."""
    if database.is_sqlite:
        yield True
        return
    with database.each() as c:
        mine = retention.only_one(c)
        try:
            yield mine
        finally:
            if mine:
                retention.let_others(c)


def _drop_days(database: Database, before_us: int) -> int:
    """How many days were dropped: those that ended before an instant."""
    with database.each() as c:
        partitions.drop_leftovers(c)
        old = [found for found in partitions.list_days(c) if (found.day + 1) * DAY_US <= before_us]
        for day in old:
            partitions.drop_day(c, day)
    return len(old)


def _delete_rows(database: Database, before_us: int) -> int:
    """How many rows were deleted, some at a time, with as long a rest between."""
    rows = 0
    while True:
        began = time.monotonic()
        with database.write() as c:
            gone = retention.delete_oldest(c, before_us, ROWS_AT_ONCE)
        rows += gone
        if gone < ROWS_AT_ONCE:
            return rows
        time.sleep(time.monotonic() - began)
