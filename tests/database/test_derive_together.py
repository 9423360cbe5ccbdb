"""Many write and many derive at once: no hour is forgotten, none derived twice for nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import fields

import numpy as np
import pytest

from app import coverage
from app.db import Database
from app.geo.dwell import REACH_US, dwell_of
from app.geo.fixes import Pings, pings_of
from app.settings import Settings
from app.shifts import HOUR_US, SECOND_US
from app.store import coverage as store
from app.store.pings import add_pings, read_pings
from app.store.units import unit_numbers

RESOLUTION = 9
START_US = 1_780_000_200 * SECOND_US // HOUR_US * HOUR_US
UNITS, MINUTES = 6, 240
AT_ONCE = 3


def driven(database: Database) -> Pings:
    """Six registered cars, a ping a minute for four hours, each along a street of its own."""
    with database.write() as c:
        numbers = sorted(unit_numbers(c, [f"P-{k}" for k in range(UNITS)], True).values())
    unit, minute = np.divmod(np.arange(UNITS * MINUTES), MINUTES)
    lat, lon = 44.40 + unit * 0.01, -79.80 + minute * 0.001
    return pings_of(np.array(numbers)[unit], START_US + minute * 60 * SECOND_US, lat, lon)


def add(database: Database, pings: Pings) -> None:
    with database.write() as c:
        add_pings(c, pings, REACH_US)


def marks(database: Database) -> list[int]:
    with database.read() as c:
        return store.dirty(c).mark.tolist()


@contextmanager
def workers(settings: Settings, count: int) -> Iterator[list[Database]]:
    """As many databases as there would be processes: they share nothing in memory."""
    opened = [Database(settings) for _ in range(count)]
    yield opened
    for database in opened:
        database.close()


def test_facts_added_while_others_derive_are_never_lost(settings: Settings) -> None:
    with workers(settings, AT_ONCE) as databases:
        pings = driven(databases[0])
        written = threading.Event()

        def write(k: int) -> None:
            """One of three writers sends its third, a few at a time, in an order of its own."""
            mine = np.random.default_rng(k).permutation(np.arange(k, len(pings), AT_ONCE))
            for part in np.array_split(mine, 25):
                add(databases[k], pings.take(part))

        def keep_deriving(database: Database) -> None:
            while not written.is_set():
                coverage.derive(database, RESOLUTION)

        with ThreadPoolExecutor(2 * AT_ONCE) as pool:
            deriving = [pool.submit(keep_deriving, database) for database in databases]
            for writing in [pool.submit(write, k) for k in range(AT_ONCE)]:
                writing.result()
            written.set()
            for each in deriving:
                each.result()
        coverage.derive(databases[0], RESOLUTION)
        with databases[0].read() as c:
            found = store.read_dwell(c, 0, 2**30)
            expected, _ = dwell_of(read_pings(c, None, 0, 2**62), RESOLUTION)
        assert marks(databases[0]) == []
    for field in fields(expected):
        assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name


def test_what_is_marked_and_not_taken_up_is_not_written_again(database: Database) -> None:
    pings = driven(database)
    add(database, pings.take(slice(0, 10)))
    assert set(marks(database)) == {0}
    if not database.is_sqlite:
        before = versions(database)
    add(database, pings.take(slice(10, 20)))
    if not database.is_sqlite:
        assert versions(database) == before
    with database.write() as c:
        store.take_up(c, store.dirty(c))
    assert 0 not in marks(database)
    add(database, pings.take(slice(20, 30)))
    assert set(marks(database)) == {0}


def versions(database: Database) -> list[str]:
    """Who wrote or locked each row of the dirty hours."""
    with database.read() as c:
        rows = c.exec_driver_sql("SELECT xmin::text || ' ' || xmax::text FROM dirty_hours")
        return sorted(rows.scalars())


def test_each_hour_is_derived_once_by_several_workers(
    postgis_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived: list[tuple[int, int]] = []
    settle = store.replace_dwell

    def counted(c: object, mine: store.DirtyHours, *rows: object) -> int:
        derived.extend(zip(mine.unit.tolist(), mine.hour.tolist(), strict=True))
        return settle(c, mine, *rows)  # type: ignore[arg-type]  as it came

    monkeypatch.setattr(store, "replace_dwell", counted)
    monkeypatch.setattr(coverage, "BLOCK_PAIRS", UNITS)  # an hour at a time
    with workers(postgis_settings, AT_ONCE) as databases:
        add(databases[0], driven(databases[0]))
        waiting = len(marks(databases[0]))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            counts = pool.map(lambda database: coverage.derive(database, RESOLUTION), databases)
        assert sum(counts) == waiting
        assert marks(databases[0]) == []
    assert len(derived) == len(set(derived)) == waiting


def test_a_plan_waits_for_hours_that_another_worker_derives(postgis_settings: Settings) -> None:
    with workers(postgis_settings, 2) as (mine, other):
        add(mine, driven(mine))
        hours = np.unique(START_US // HOUR_US + np.arange(-1, 5))
        with ThreadPoolExecutor(1) as pool:
            with other.write() as c:
                assert store.claim_hours(c, hours, wait=False).tolist() == hours.tolist()
                assert coverage.derive(mine, RESOLUTION) == 0  # left to the other
                waiting = pool.submit(coverage.derive, mine, RESOLUTION, wait=True)
                with pytest.raises(TimeoutError):
                    waiting.result(0.3)
            # The other died: its hours are free at once.
            assert waiting.result(30) == len(hours) * UNITS


def test_hours_taken_up_by_a_process_that_died_are_derived(settings: Settings) -> None:
    with closing(Database(settings)) as died:
        add(died, driven(died))
        with died.write() as c:
            taken = store.take_up(c, store.dirty(c))
    with closing(Database(settings)) as database:
        assert coverage.derive(database, RESOLUTION) == len(taken)
        assert marks(database) == []
