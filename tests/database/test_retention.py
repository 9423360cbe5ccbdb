"""Raw pings go by age, what was derived of them stays, and nothing is derived from what is left."""

import threading
from contextlib import closing
from dataclasses import fields
from functools import partial

import numpy as np
import pytest

from app import coverage, retention
from app.db import Database
from app.geo.dwell import REACH_US, Dwell
from app.geo.fixes import Pings, pings_of
from app.retention import Deleted, retain
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US, SECOND_US
from app.store import coverage as store
from app.store import partitions
from app.store.pings import add_pings, read_pings
from app.store.units import unit_numbers
from tests.benchmark.table import seconds

RESOLUTION = 9
NOW_US = 1_795_000_000 * SECOND_US // DAY_US * DAY_US + 12 * HOUR_US  # noon of a day
# Kept: what is younger than two days and the three hours that late pings may still need.
KEPT_US = 2 * DAY_US + 3 * HOUR_US


@pytest.fixture
def kept(settings: Settings) -> Settings:
    return settings.model_copy(update={"retention_days": 2, "plan_resolution": RESOLUTION})


def parked(database: Database, from_us: int, to_us: int, step_s: int = 60) -> Pings:
    """Stores pings of one car that stands still."""
    time_us = np.arange(from_us, to_us, step_s * SECOND_US)
    place = np.full(len(time_us), 44.48), np.full(len(time_us), -79.80)
    with database.write() as c:
        (unit,) = unit_numbers(c, ["P-01"], register=True).values()
        pings = pings_of(np.full(len(time_us), unit), time_us, *place)
        add_pings(c, pings, REACH_US)
    return pings


def times(database: Database) -> np.ndarray:
    with database.read() as c:
        return read_pings(c, None, -(2**62), 2**62).time_us


def dwell(database: Database) -> Dwell:
    with database.read() as c:
        return store.read_dwell(c, -(10**6), 10**6)


def same(one: Dwell, other: Dwell) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Dwell))


def test_old_pings_go_and_their_dwell_stays(database: Database, kept: Settings) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    coverage.derive(database, RESOLUTION)
    before = dwell(database)
    done = retain(database, kept, NOW_US)
    assert done is not None
    assert done.before_us == NOW_US - KEPT_US
    oldest = NOW_US - KEPT_US
    if not database.is_sqlite:  # whole days: those that ended before
        oldest = oldest // DAY_US * DAY_US
        assert (done.days, done.rows) == (3, 0)  # the half day of the first ping, and two more
    assert times(database).min() == oldest
    assert same(dwell(database), before)
    assert retain(database, kept, NOW_US) == Deleted(0, 0, NOW_US - KEPT_US)


def test_pings_that_bear_on_a_dirty_hour_stay(
    database: Database, kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    monkeypatch.setattr(coverage, "derive", lambda *_, **__: 0)  # it fails, or another is at it
    done = retain(database, kept, NOW_US)
    # The first ping marks the hour before it, whose context is the hour before that.
    assert done == Deleted(0, 0, NOW_US - 5 * DAY_US - 2 * HOUR_US)
    assert times(database).min() == NOW_US - 5 * DAY_US


def test_what_is_not_derived_yet_is_derived_first(database: Database, kept: Settings) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    done = retain(database, kept, NOW_US)
    assert done is not None
    assert done.before_us == NOW_US - KEPT_US
    assert dwell(database).hour.min() == (NOW_US - 5 * DAY_US) // HOUR_US


def test_another_resolution_leaves_alone_what_can_no_longer_be_derived(
    database: Database, kept: Settings
) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    coverage.derive(database, RESOLUTION)
    before = dwell(database)
    retain(database, kept, NOW_US)
    coverage.derive(database, RESOLUTION + 1)
    after = dwell(database)
    first_open = (NOW_US - KEPT_US) // HOUR_US + 1  # the hour before it has lost some of its pings
    old = before.hour < first_open
    assert old.sum() > 60
    assert np.array_equal(after.cell[after.hour < first_open], before.cell[old])
    assert not np.isin(after.cell[after.hour >= first_open], before.cell).any()


def test_a_very_late_ping_does_not_undo_what_was_derived(
    database: Database, kept: Settings
) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    coverage.derive(database, RESOLUTION)
    before = dwell(database)
    retain(database, kept, NOW_US)
    late_us = NOW_US - 4 * DAY_US + 1  # taken in under a longer retention, say
    parked(database, late_us, late_us + 1)
    coverage.derive(database, RESOLUTION)
    assert same(dwell(database), before)
    with database.read() as c:
        assert len(store.dirty(c)) == 0


def test_keeping_all_deletes_nothing(database: Database, kept: Settings) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US, 3600)
    every = kept.model_copy(update={"retention_days": 0})
    assert retain(database, every, NOW_US) == Deleted()
    assert len(times(database)) == 120


def test_rows_go_in_small_transactions(
    database: Database, kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 7)
    old_us = NOW_US - 3000 * DAY_US  # on PostgreSQL before there were days
    parked(database, old_us, old_us + 50 * 60 * SECOND_US)
    done = retain(database, kept, NOW_US)
    assert done is not None
    assert done.rows == 50
    assert len(times(database)) == 0


def test_intake_goes_on_while_old_pings_go(database: Database, kept: Settings) -> None:
    parked(database, NOW_US - 5 * DAY_US, NOW_US)
    coverage.derive(database, RESOLUTION)
    stop = threading.Event()
    taken_s = []

    def write() -> None:
        at_us = NOW_US
        while not stop.is_set():
            taken_s.append(seconds(partial(parked, database, at_us, at_us + SECOND_US, 1)))
            at_us += SECOND_US

    writer = threading.Thread(target=write)
    writer.start()
    done = retain(database, kept, NOW_US)
    stop.set()
    writer.join()
    assert done is not None
    assert done.days + done.rows > 0
    assert (times(database) >= NOW_US).sum() == len(taken_s)
    assert max(taken_s) < 1.0


def test_days_are_made_ahead_and_dropped_whole(postgis_settings: Settings) -> None:
    kept = postgis_settings.model_copy(update={"retention_days": 2})
    with closing(Database(kept)) as database:
        retain(database, kept, NOW_US)
        with database.read() as c:
            days = [found.day for found in partitions.list_days(c)]
    today = NOW_US // DAY_US
    assert {today, today + 1, today + 2} <= set(days)
    assert min(days) >= today - 3


def test_one_process_at_a_time(postgis_settings: Settings) -> None:
    with closing(Database(postgis_settings)) as database, database.each() as c:
        assert retention.retention.only_one(c)
        assert retain(database, postgis_settings, NOW_US) is None
        retention.retention.let_others(c)
        assert retain(database, postgis_settings, NOW_US) is not None


def test_a_day_that_was_detached_but_not_dropped_is_dropped_later(
    postgis_settings: Settings,
) -> None:
    kept = postgis_settings.model_copy(update={"retention_days": 2})
    with closing(Database(kept)) as database:
        parked(database, NOW_US - 6 * DAY_US, NOW_US - 5 * DAY_US, 3600)
        coverage.derive(database, RESOLUTION)
        with database.each() as c:
            name = partitions.list_days(c)[0].name
            c.exec_driver_sql(f"ALTER TABLE pings DETACH PARTITION {name} CONCURRENTLY")
        retain(database, kept, NOW_US)
        with database.read() as c:
            left = c.exec_driver_sql("SELECT to_regclass(%s)", (name,)).scalar_one()
    assert left is None
