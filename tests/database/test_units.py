"""Units: a call sign outside, a number inside."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from app.db import Database
from app.geo.fixes import pings_of
from app.store.pings import add_pings
from app.store.units import find_unit, last_heard_us, list_units, unit_numbers

SIGNS = ["A-1", "ä '%s\"", "北 7", *(f"car {k}" for k in range(1_200))]


def test_unknown_units_are_left_out_or_registered(database: Database) -> None:
    with database.write() as c:
        assert unit_numbers(c, [], register=True) == {}
        assert unit_numbers(c, SIGNS, register=False) == {}
        numbers = unit_numbers(c, [*SIGNS, *SIGNS], register=True)
        assert sorted(numbers) == sorted(SIGNS)
        assert len(set(numbers.values())) == len(SIGNS)
    with database.read() as c:
        assert unit_numbers(c, ["B-2", *SIGNS], register=False) == numbers


def test_units_are_found_by_sign_and_listed_in_order(database: Database) -> None:
    with database.write() as c:
        numbers = unit_numbers(c, ["b", "a", "c"], register=True)
        place = np.array([37.0])
        add_pings(c, pings_of(np.array([numbers["b"]]), np.array([5]), place, -place))
        add_pings(c, pings_of(np.array([numbers["c"]]), np.array([4]), place, -place))
    with database.read() as c:
        assert [unit.unit_id for unit in list_units(c)] == ["a", "b", "c"]
        found = find_unit(c, "b")
        assert found is not None
        assert (found.unit, found.last_us, found.lon) == (numbers["b"], 5, -37.0)
        assert find_unit(c, "d") is None
        assert last_heard_us(c) == 5


def test_nobody_heard_is_no_instant(database: Database) -> None:
    with database.write() as c:
        unit_numbers(c, ["a"], register=True)
        assert last_heard_us(c) is None


def test_registering_at_once_gives_one_number_each(database: Database) -> None:
    def register(seed: int) -> dict[str, int]:
        signs = np.random.default_rng(seed).permutation(SIGNS[:100]).tolist()
        with database.write() as c:
            return unit_numbers(c, signs, register=True)

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(register, range(4))
    assert others == [first] * 3
