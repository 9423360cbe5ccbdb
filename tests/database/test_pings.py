"""Pings in and out: identity, conflicts, order of arrival, dirty hours and last positions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields

import numpy as np
import pytest

from app.db import Database
from app.geo.fixes import Pings, concat
from app.settings import Settings
from app.shifts import HOUR_US
from app.store.coverage import dirty
from app.store.pings import add_pings, read_pings
from app.store.units import list_units, unit_numbers

NAN = float("nan")
NOON_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US  # the start of some hour


def pings(*rows: Sequence[float]) -> Pings:
    """Rows of unit, time_us, lat, lon and as much as wanted of speed, heading, accuracy, status."""
    absent = (0, 0, 0.0, 0.0, NAN, NAN, NAN, -1)
    columns = zip(*((*row, *absent[len(row) :]) for row in rows), strict=True)
    kinds = (np.int64, np.int64, *(np.float64,) * 5, np.int8)
    return Pings(*(np.array(c, dtype=kind) for c, kind in zip(columns, kinds, strict=True)))


def equal(a: Pings, b: Pings) -> bool:
    """Whether two sets of pings are the same to the last bit, NaN included."""
    return all(
        getattr(a, column.name).tobytes() == getattr(b, column.name).tobytes()
        for column in fields(Pings)
    )


def register(database: Database, count: int) -> list[int]:
    with database.write() as c:
        numbers = unit_numbers(c, [f"car {k}" for k in range(count)], register=True)
    return sorted(numbers.values())


def add(database: Database, batch: Pings, reach_us: int = 0) -> int:
    with database.write() as c:
        return int(add_pings(c, batch, reach_us).sum())


def stored(database: Database) -> Pings:
    with database.read() as c:
        return read_pings(c, None, -(2**62), 2**62)


def clean(database: Database) -> None:
    with database.write() as c:
        c.exec_driver_sql("DELETE FROM dirty_hours")


def forget(database: Database) -> None:
    clean(database)
    with database.write() as c:
        c.exec_driver_sql("DELETE FROM pings")
        c.exec_driver_sql("UPDATE units SET last_us = NULL")


def dirty_pairs(database: Database) -> list[tuple[int, int]]:
    with database.read() as c:
        found = dirty(c)
    return list(zip(found.unit.tolist(), found.hour.tolist(), strict=True))


def test_no_pings_are_none_accepted(database: Database) -> None:
    assert add(database, pings((1, 0, 0, 0)).take(slice(0, 0))) == 0
    assert len(stored(database)) == 0


def test_every_column_comes_back_as_it_went_in(database: Database) -> None:
    a, b = register(database, 2)
    batch = pings(
        (a, 10, 0.1 + 0.2, -122.123456789012345, 13.7, 359.9, 4.5, 5),
        (a, 20, 37.0, -122.0),
        (b, 10, -37.0, 122.0, NAN, 0.0, NAN, 0),
    )
    assert add(database, batch) == 3
    assert equal(stored(database), batch)


def test_a_ping_again_is_a_duplicate(database: Database) -> None:
    (a,) = register(database, 1)
    batch = pings((a, 10, 1, 1), (a, 20, 1, 1, 2.0))
    assert add(database, batch) == 2
    clean(database)
    assert add(database, batch) == 0
    assert equal(stored(database), batch)
    assert dirty_pairs(database) == []  # nothing changed, nothing to derive


def test_a_batch_that_is_partly_there(database: Database) -> None:
    (a,) = register(database, 1)
    assert add(database, pings((a, 20, 1, 1), (a, 40, 1, 1))) == 2
    # 10 and 30 are new, 20 and 40 are not; 50 is new and newest.
    assert add(database, pings(*((a, t, 1, 1) for t in (50, 40, 30, 20, 10)))) == 3
    assert stored(database).time_us.tolist() == [10, 20, 30, 40, 50]


# In each pair the first sorts first: by lat, lon, speed, heading, accuracy, status; what was not
# sent before what was.
CONFLICTS = [
    ((1.0, 9.0, 9.0, 9.0, 9.0, 5), (2.0, 1.0)),
    ((1.0, 1.0, 9.0, 9.0, 9.0, 5), (1.0, 2.0)),
    ((1.0, 1.0, 3.0, 9.0), (1.0, 1.0, 4.0, 1.0)),
    ((1.0, 1.0, 3.0, 4.0, 9.0), (1.0, 1.0, 3.0, 5.0, 1.0)),
    ((1.0, 1.0, 3.0, 4.0, 5.0, 5), (1.0, 1.0, 3.0, 4.0, 6.0, 0)),
    ((1.0, 1.0, 3.0, 4.0, 5.0, 1), (1.0, 1.0, 3.0, 4.0, 5.0, 2)),
    ((1.0, 1.0, NAN, 9.0), (1.0, 1.0, 0.0, 1.0)),
    ((1.0, 1.0, NAN, NAN, 9.0), (1.0, 1.0, NAN, 0.0, 1.0)),
    ((1.0, 1.0, NAN, NAN, NAN, 3), (1.0, 1.0, NAN, NAN, 0.0, 0)),
    ((1.0, 1.0, NAN, NAN, NAN, -1), (1.0, 1.0, NAN, NAN, NAN, 0)),
    ((-1.0, 1.0), (0.0, 1.0)),
]


@pytest.mark.parametrize(("first", "second"), CONFLICTS)
def test_what_sorts_first_stays_whatever_comes_first(
    database: Database, first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    a, b, d = register(database, 3)
    add(database, pings((a, 7, *first)))
    assert add(database, pings((a, 7, *second))) == 0
    add(database, pings((b, 7, *second)))
    clean(database)
    assert add(database, pings((b, 7, *first))) == 0
    assert dirty_pairs(database) == [(b, 0)]  # replaced, so its hour changed
    assert add(database, pings((d, 7, *second), (d, 7, *first), (d, 7, *second))) == 1
    kept = [(unit, 7, *first) for unit in (a, b, d)]
    assert equal(stored(database), pings(*kept))


def test_a_negative_zero_is_zero(database: Database) -> None:
    (a,) = register(database, 1)
    add(database, pings((a, 7, -0.0, -0.0, -0.0)))
    assert equal(stored(database), pings((a, 7, 0.0, 0.0, 0.0)))


def test_the_hours_of_new_rows_become_dirty(database: Database) -> None:
    a, b = register(database, 2)
    hour = NOON_US // HOUR_US
    add(database, pings((a, NOON_US, 1, 1), (a, NOON_US + 5, 1, 1), (b, NOON_US - 1, 1, 1)))
    assert dirty_pairs(database) == [(b, hour - 1), (a, hour)]
    clean(database)
    # One hour before 1970 is hour -1, and so is one microsecond.
    add(database, pings((a, -HOUR_US, 1, 1), (b, -1, 1, 1)))
    assert dirty_pairs(database) == [(a, -1), (b, -1)]


def test_hours_within_reach_become_dirty_too(database: Database) -> None:
    (a,) = register(database, 1)
    hour = NOON_US // HOUR_US
    add(database, pings((a, NOON_US + 10, 1, 1)), reach_us=10)
    assert dirty_pairs(database) == [(a, hour)]
    clean(database)
    add(database, pings((a, NOON_US + 9, 1, 1)), reach_us=10)
    assert dirty_pairs(database) == [(a, hour - 1), (a, hour)]
    clean(database)
    add(database, pings((a, NOON_US + 8, 1, 1)), reach_us=HOUR_US)
    assert dirty_pairs(database) == [(a, hour - 1), (a, hour), (a, hour + 1)]


def test_a_unit_is_where_its_newest_ping_says(database: Database) -> None:
    a, b, _ = register(database, 3)
    add(database, pings((a, 20, 2, 2, 5.0, 90.0, NAN, 1), (a, 10, 1, 1), (b, 5, 5, 5)))
    add(database, pings((a, 15, 9, 9), (b, 6, 6, 6, NAN, NAN, NAN, 4)))
    with database.read() as c:
        first, second, third = list_units(c)
    assert (first.last_us, first.lat, first.speed_mps, first.heading_deg, first.status) == (
        *(20, 2.0, 5.0, 90.0),
        1,
    )
    assert (second.last_us, second.lat, second.speed_mps, second.status) == (6, 6.0, None, 4)
    assert (third.last_us, third.lat) == (None, None)


def test_a_replaced_ping_moves_its_unit(database: Database) -> None:
    (a,) = register(database, 1)
    add(database, pings((a, 20, 2, 2)))
    add(database, pings((a, 20, 3, 3)))
    add(database, pings((a, 20, 1, 1)))
    with database.read() as c:
        assert [unit.lat for unit in list_units(c)] == [1.0]


def test_reading_takes_some_units_and_a_half_open_time(database: Database) -> None:
    numbers = register(database, 60)
    add(database, pings(*((unit, t, 1, 1) for unit in numbers for t in (1, 2, 3))))
    with database.read() as c:
        few = read_pings(c, np.array(numbers[:2]), 1, 3)
        many = read_pings(c, np.array(numbers[:55]), 2, 3)  # more than are named one by one
        none = read_pings(c, np.array(numbers[:2]), 4, 9)
    assert (few.unit.tolist(), few.time_us.tolist()) == (
        [numbers[0]] * 2 + [numbers[1]] * 2,
        [1, 2, 1, 2],
    )
    assert many.unit.tolist() == numbers[:55]
    assert (len(none), none.status.dtype, none.lat.dtype) == (0, np.int8, np.float64)


def test_an_unregistered_unit_is_refused(postgis_settings: Settings) -> None:
    refused = pytest.raises(ValueError, match="registered")
    with closing(Database(postgis_settings)) as database, refused:
        add(database, pings((77, 1, 1, 1)))


def contested(numbers: list[int], rows: int) -> Pings:
    """Pings of which about every second identity has several contents, some of them null."""
    rng = np.random.default_rng(7)
    speed = rng.integers(0, 3, rows).astype(np.float64)
    speed[speed == 0] = NAN
    return Pings(
        unit=rng.choice(numbers, rows),
        time_us=NOON_US + rng.integers(0, rows // 16, rows) * 1_000_000,
        lat=rng.integers(0, 2, rows).astype(np.float64),
        lon=rng.integers(0, 2, rows).astype(np.float64),
        speed_mps=speed,
        heading_deg=np.full(rows, NAN),
        accuracy_m=np.full(rows, NAN),
        status=rng.integers(-1, 6, rows).astype(np.int8),
    )


def test_four_writers_in_any_order_give_what_one_batch_gives(database: Database) -> None:
    numbers = register(database, 8)
    batch = contested(numbers, 4_000)
    identities = len(set(zip(batch.unit.tolist(), batch.time_us.tolist(), strict=True)))
    assert add(database, batch) == identities
    expected, units, hours = stored(database), last_positions(database), dirty_pairs(database)
    forget(database)

    def writer(seed: int) -> int:
        """Sends everything, in an order and in batches of its own."""
        rng = np.random.default_rng(seed)
        cuts = np.sort(rng.integers(0, len(batch), 12))
        parts = np.split(rng.permutation(len(batch)), cuts)
        return sum(add(database, batch.take(part)) for part in parts)

    with ThreadPoolExecutor(4) as pool:
        accepted = list(pool.map(writer, range(4)))
    assert sum(accepted) == identities  # each identity was new to exactly one of them
    assert equal(stored(database), expected)
    assert last_positions(database) == units
    assert dirty_pairs(database) == hours


def last_positions(database: Database) -> list[tuple[object, ...]]:
    with database.read() as c:
        return [(u.unit, u.last_us, u.lat, u.lon, u.speed_mps, u.status) for u in list_units(c)]


def test_eight_copies_of_one_batch_at_once_are_one(database: Database) -> None:
    batch = contested(register(database, 8), 1_000)
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(lambda _: add(database, batch), range(8)))
    assert sorted(accepted)[:7] == [0] * 7
    assert max(accepted) == len(stored(database))


def test_the_parts_of_a_batch_in_any_order_make_the_whole(database: Database) -> None:
    batch = contested(register(database, 3), 200)
    for part in np.array_split(np.random.default_rng(1).permutation(200), 40):
        add(database, batch.take(part))
    in_parts = stored(database)
    forget(database)
    add(database, concat([batch, batch]))
    assert equal(stored(database), in_parts)
