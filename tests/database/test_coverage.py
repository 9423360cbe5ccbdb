"""Dwell and coverage: replaced hour by hour, never by what is out of date; and dosage."""

import numpy as np

from app.db import Database
from app.geo.dwell import Coverage, Dwell
from app.store.coverage import (
    DirtyHours,
    dirty,
    dosage,
    mark_dirty,
    read_coverage,
    read_dwell,
    replace_dwell,
    take_up,
)
from app.store.units import unit_numbers

CELL = 0x8A2830829A17FFF


def units(database: Database, count: int) -> list[int]:
    with database.write() as c:
        return sorted(unit_numbers(c, [f"car {k}" for k in range(count)], register=True).values())


def mark(database: Database, *pairs: tuple[int, int]) -> None:
    with database.write() as c:
        mark_dirty(c, np.array([u for u, _ in pairs]), np.array([h for _, h in pairs]))


def read_dirty(database: Database, *hours: int | None) -> DirtyHours:
    with database.read() as c:
        return dirty(c, *hours)


def taken(database: Database, *hours: int | None) -> DirtyHours:
    with database.write() as c:
        return take_up(c, dirty(c, *hours))


def pairs(found: DirtyHours) -> list[tuple[int, int]]:
    return list(zip(found.unit.tolist(), found.hour.tolist(), strict=True))


def dwell(*rows: tuple[int, int, int, float, float]) -> Dwell:
    """Rows of unit, cell, hour, seconds standing and seconds in transit."""
    in_order = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    unit, cell, hour, standing_s, transit_s = zip(*in_order, strict=True)
    standing, transit = np.array(standing_s, dtype=float), np.array(transit_s, dtype=float)
    return Dwell(
        unit=np.array(unit),
        cell=np.array(cell, dtype=np.uint64),
        hour=np.array(hour),
        dwell_s=standing + transit,
        stationary_s=standing,
        slow_s=np.zeros(len(unit)),
        transit_s=transit,
        dwell_low_s=np.zeros(len(unit)),
        dwell_high_s=standing + transit + 1,
    )


def coverage(*some: tuple[int, int]) -> Coverage:
    unit, hour = np.array(some, dtype=np.int64).reshape(-1, 2).T
    seconds = np.full(len(some), 3600.0)
    return Coverage(unit, hour, seconds / 4, seconds * 3 / 4, np.full(len(some), 9), unit * 0 + 8)


def replace(database: Database, todo: DirtyHours, new: Dwell, known: Coverage) -> int:
    with database.write() as c:
        return replace_dwell(c, todo, new, known)


def test_marks_are_distinct_and_come_by_hour(database: Database) -> None:
    a, b = units(database, 2)
    mark(database)
    mark(database, (a, 8), (b, 7), (a, -3))
    mark(database, (b, 7), (b, 8))
    assert pairs(read_dirty(database)) == [(a, -3), (b, 7), (a, 8), (b, 8)]
    assert pairs(read_dirty(database, 7, 8)) == [(b, 7)]
    assert pairs(read_dirty(database, 8)) == [(a, 8), (b, 8)]
    assert pairs(read_dirty(database, None, -3)) == []


def test_derived_hours_are_replaced_whole_and_no_longer_dirty(database: Database) -> None:
    a, b = units(database, 2)
    mark(database, (a, 7), (b, 7), (a, 8))
    first = dwell((a, CELL, 7, 60, 0), (a, CELL + 8, 7, 5, 1), (b, CELL, 7, 9, 0))
    todo = taken(database, 7, 8)
    assert replace(database, todo, first, coverage((a, 7), (b, 7))) == 2
    assert pairs(read_dirty(database)) == [(a, 8)]
    mark(database, (a, 7))
    assert replace(database, taken(database, 7, 8), dwell((a, CELL, 7, 1, 0)), coverage()) == 1
    with database.read() as c:
        found, known = read_dwell(c, 0, 100), read_coverage(c, 0, 100)
    assert (found.unit.tolist(), found.stationary_s.tolist()) == ([a, b], [1.0, 9.0])
    assert found.cell.dtype == np.uint64
    assert (known.unit.tolist(), known.observed_s.tolist()) == ([b], [900.0])
    assert (known.pings.tolist(), known.kept.tolist()) == ([9], [8])


def test_rows_of_other_hours_are_not_taken(database: Database) -> None:
    a, b = units(database, 2)
    mark(database, (a, 7))
    new = dwell((a, CELL, 7, 60, 0), (a, CELL, 6, 5, 1), (b, CELL, 7, 9, 0))
    assert replace(database, taken(database), new, coverage((a, 6), (a, 7))) == 1
    with database.read() as c:
        assert read_dwell(c, 0, 100).hour.tolist() == [7]
        assert read_coverage(c, 0, 100).hour.tolist() == [7]


def test_an_hour_with_newer_facts_stays_dirty_and_keeps_its_rows(database: Database) -> None:
    a, b = units(database, 2)
    mark(database, (a, 7), (b, 7))
    todo = taken(database)
    mark(database, (a, 7))  # a ping comes in while the hour is being derived
    new = dwell((a, CELL, 7, 60, 0), (b, CELL, 7, 9, 0))
    assert replace(database, todo, new, coverage((a, 7), (b, 7))) == 1
    assert pairs(read_dirty(database)) == [(a, 7)]
    with database.read() as c:
        assert read_dwell(c, 0, 100).unit.tolist() == [b]


def test_who_derived_an_older_state_does_not_overwrite_a_newer_one(database: Database) -> None:
    (a,) = units(database, 1)
    mark(database, (a, 7))
    slow = taken(database)
    mark(database, (a, 7))
    fast = taken(database)
    assert replace(database, fast, dwell((a, CELL, 7, 60, 0)), coverage((a, 7))) == 1
    assert replace(database, slow, dwell((a, CELL, 7, 5, 0)), coverage((a, 7))) == 0
    with database.read() as c:
        assert read_dwell(c, 0, 100).dwell_s.tolist() == [60.0]


def test_nothing_to_replace_is_nothing_done(database: Database) -> None:
    nothing = taken(database)
    assert len(nothing) == 0
    assert replace(database, nothing, dwell((1, CELL, 7, 60, 0)), coverage((1, 7))) == 0
    with database.read() as c:
        assert len(read_dwell(c, 0, 100)) == len(read_coverage(c, 0, 100)) == 0
        assert len(dosage(c, 0, 100)) == 0


def test_dosage_is_the_patrol_of_all_units_without_transit(database: Database) -> None:
    a, b = units(database, 2)
    mark(database, (a, 7), (b, 7), (a, 8))
    new = dwell(
        (a, CELL, 7, 60, 10), (b, CELL, 7, 5, 99), (a, CELL + 8, 7, 1, 0), (a, CELL, 8, 2, 0)
    )
    assert replace(database, taken(database), new, coverage((a, 7), (b, 7), (a, 8))) == 3
    with database.read() as c:
        found, late = dosage(c, 7, 9), dosage(c, 8, 9)
    # Cell and hour 7: 60 s of a and 5 s of b; transit is no patrol.
    assert found.cell.tolist() == [CELL, CELL + 8, CELL]
    assert found.hour.tolist() == [7, 7, 8]
    assert found.dosage_s.tolist() == [65.0, 1.0, 2.0]
    assert (late.cell.tolist(), late.dosage_s.tolist()) == ([CELL], [2.0])


def test_many_hours_at_once(database: Database) -> None:
    numbers = units(database, 50)
    hours = [(unit, hour) for unit in numbers for hour in range(100)]
    mark(database, *hours)
    new = dwell(*((unit, CELL + 8 * k, hour, k, 1) for unit, hour in hours for k in range(3)))
    assert replace(database, taken(database), new, coverage(*hours)) == 5_000
    with database.read() as c:
        found = read_dwell(c, 0, 100)
    assert all(
        getattr(found, name).tobytes() == getattr(new, name).tobytes()
        for name in Dwell.__dataclass_fields__
    )
