"""Dwell derived from facts: in any order the same, and only what was known when it is asked."""

from dataclasses import fields

import numpy as np
import pytest

from app import coverage, simulate
from app.db import Database
from app.geo.dwell import REACH_US, Coverage, Dwell, dwell_of
from app.geo.fixes import Pings, pings_of
from app.shifts import HOUR_US, SECOND_US
from app.store import coverage as store
from app.store.pings import add_pings, read_pings
from app.store.units import unit_numbers

RESOLUTION = 9
ALWAYS_US = (0, 2**62)
START_US = 1_780_000_200 * SECOND_US  # within an hour, not at its beginning


def driven(hours: float = 6.0, units: int = 4) -> Pings:
    """Cars of the simulated town, with all that their boxes do to the truth."""
    town = simulate.town(3)
    found = simulate.pings(town, START_US, START_US + int(hours * HOUR_US)).pings
    return found.take(np.isin(found.unit, np.unique(found.unit)[:units]))


def store_pings(database: Database, pings: Pings) -> None:
    with database.write() as connection:
        names = [f"P-{unit:02d}" for unit in np.unique(pings.unit).tolist()]
        numbers = unit_numbers(connection, names, True)
        number = np.zeros(int(pings.unit.max()) + 1, dtype=np.int64)
        number[np.unique(pings.unit)] = [numbers[name] for name in names]
        moved = Pings(number[pings.unit], *(getattr(pings, f.name) for f in fields(Pings)[1:]))
        add_pings(connection, moved, REACH_US)


def stored(database: Database) -> tuple[Dwell, Coverage]:
    with database.read() as connection:
        return (
            store.read_dwell(connection, -(10**6), 10**6),
            store.read_coverage(connection, -(10**6), 10**6),
        )


def same(one: Dwell | Coverage, other: Dwell | Coverage) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(one)
    )


def test_any_order_and_any_batches_give_the_same_dwell_to_the_last_bit(database: Database) -> None:
    pings = driven()
    chance = np.random.default_rng(7)
    for part in np.array_split(chance.permutation(len(pings)), 5):
        store_pings(database, pings.take(part))
        coverage.derive(database, RESOLUTION)  # and again with what comes later
    found, known = stored(database)
    with database.read() as connection:
        everything = dwell_of(read_pings(connection, None, *ALWAYS_US), RESOLUTION)
    assert len(found) > 100
    assert same(found, everything[0])
    assert same(known, everything[1])


def test_nothing_new_is_nothing_to_derive(database: Database) -> None:
    store_pings(database, driven(2.0))
    assert coverage.derive(database, RESOLUTION) > 0
    before = stored(database)
    assert coverage.derive(database, RESOLUTION) == 0
    store_pings(database, driven(2.0))  # all duplicates
    assert coverage.derive(database, RESOLUTION) == 0
    assert same(stored(database)[0], before[0])


def test_small_blocks_give_what_one_block_gives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_pings(database, driven())
    monkeypatch.setattr(coverage, "BLOCK_PAIRS", 3)
    coverage.derive(database, RESOLUTION)
    with database.read() as connection:
        everything, _ = dwell_of(read_pings(connection, None, *ALWAYS_US), RESOLUTION)
    assert same(stored(database)[0], everything)


def test_a_parked_car_counts_from_the_windows_start_to_its_end(database: Database) -> None:
    """A ping a minute for five hours, the window from 1:10 to 3:40 after the first: 9,000 s."""
    minutes = np.arange(300)
    time_us = START_US + minutes * 60 * SECOND_US
    place = np.full(300, 44.48), np.full(300, -79.80)
    store_pings(database, pings_of(np.zeros(300, np.int64), time_us, *place))
    from_us, until_us = START_US + 70 * 60 * SECOND_US, START_US + 220 * 60 * SECOND_US
    found = coverage.patrol(database, RESOLUTION, from_us, until_us)
    # The last ping before the end is the one at 219 minutes: what comes after is not known then.
    assert found.dosage_s.sum() == 149 * 60
    assert len(np.unique(found.cell)) == 1
    assert found.observed_s == 149 * 60
    assert found.unobserved_s == 0
    assert found.last_us == time_us[219]


def test_later_pings_play_no_part_in_what_was_known(database: Database) -> None:
    pings = driven()
    until_us = START_US + int(3.4 * HOUR_US)
    store_pings(database, pings.take(pings.time_us < until_us))
    before = coverage.patrol(database, RESOLUTION, START_US, until_us)
    store_pings(database, pings.take(pings.time_us >= until_us))
    after = coverage.patrol(database, RESOLUTION, START_US, until_us)
    assert before.dosage_s.sum() > 3600
    for field in fields(before):
        assert np.array_equal(getattr(before, field.name), getattr(after, field.name)), field.name


def test_no_pings_is_not_known_rather_than_no_patrol(database: Database) -> None:
    found = coverage.patrol(database, RESOLUTION, START_US, START_US + 24 * HOUR_US)
    assert found.last_us is None
    assert (len(found.cell), found.observed_s, found.unobserved_s) == (0, 0, 0)


def test_another_resolution_derives_again(database: Database) -> None:
    store_pings(database, driven(2.0))
    coverage.derive(database, RESOLUTION)
    coverage.derive(database, RESOLUTION + 1)
    with database.read() as connection:
        everything, _ = dwell_of(read_pings(connection, None, *ALWAYS_US), RESOLUTION + 1)
    assert same(stored(database)[0], everything)
