"""Districts: put, get, list, and a tree that stays a tree."""

import pytest
import shapely

from app.db import Database
from app.errors import Invalid
from app.store.districts import District, get_district, list_districts, put_district

BOX = shapely.MultiPolygon([shapely.box(-122.5, 37.7, -122.4, 37.8)])


def district(id: str, parent: str | None = None, **others: object) -> District:  # noqa: A002  the column's name
    values = {"name": id, "timezone": "UTC", "shifts": {"day": "07:00"}, "geometry": BOX}
    return District(id=id, parent=parent, **{**values, **others})  # type: ignore[arg-type]  checked by the table


def put(database: Database, *some: District) -> list[bool]:
    with database.write() as c:
        return [put_district(c, one) for one in some]


def test_a_district_comes_back_as_it_was_put(database: Database) -> None:
    shifts = {"night": "23:00", "day": "07:00", "evening": "15:00"}  # in this order
    odd = district("Ü/1", name="Süd, 'Mitte'", timezone="America/Vancouver", shifts=shifts)
    assert put(database, odd, district("b", "Ü/1", unit_hours=6.5)) == [True, True]
    with database.read() as c:
        found = get_district(c, "Ü/1")
        assert found == odd
        assert found is not None
        assert list(found.shifts) == list(shifts)
        assert get_district(c, "nowhere") is None
        assert [one.id for one in list_districts(c)] == ["b", "Ü/1"]


def test_putting_again_replaces(database: Database) -> None:
    put(database, district("a"))
    assert put(database, district("a", name="new", unit_hours=0.0)) == [False]
    with database.read() as c:
        assert list_districts(c) == [district("a", name="new", unit_hours=0.0)]


def test_a_polygon_becomes_a_multipolygon_with_its_holes(database: Database) -> None:
    ring = shapely.box(0, 0, 3, 3).difference(shapely.box(1, 1, 2, 2))
    put(database, district("a", geometry=ring))
    with database.read() as c:
        found = get_district(c, "a")
    assert found is not None
    assert found.geometry.equals_exact(shapely.MultiPolygon([ring]))
    with pytest.raises(Invalid, match="Point"):
        put(database, district("b", geometry=shapely.Point(0, 0)))


def test_a_parent_must_exist(database: Database) -> None:
    with pytest.raises(Invalid, match="does not exist"):
        put(database, district("a", "nobody"))
    with database.read() as c:
        assert list_districts(c) == []


@pytest.mark.parametrize("above", ["a", "b", "c"])
def test_nobody_lies_below_himself(database: Database, above: str) -> None:
    put(database, district("a"), district("b", "a"), district("c", "b"))
    with pytest.raises(Invalid, match="below itself"):
        put(database, district("a", above))
    assert put(database, district("c", "a")) == [False]  # elsewhere in the tree is fine
