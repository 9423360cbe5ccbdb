"""Plans come back exactly as they were made."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from sqlalchemy.exc import IntegrityError

from app.db import Database
from app.store.districts import District, put_district
from app.store.plans import (
    Plan,
    PlanCells,
    PlanZone,
    add_plan,
    cells_of,
    get_plan,
    list_plans,
    set_status,
)

BOX = shapely.MultiPolygon([shapely.box(-122.5, 37.7, -122.4, 37.8)])
ZONE = PlanZone(
    id="z2",
    rank=1,
    cells=("8928308280fffff", "8928308280bffff"),
    area_km2=0.1 + 0.2,
    expected_incidents=1 / 3,
    expected_harm=2 / 3,
    priority=1e-17,
    visits=4,
    target_dosage_s=3120.0,
    reasons=("20 % of the risk: 7 thefts in 30 days", "“Ü”"),
    geometry=BOX,
)
PLAN = Plan(
    id="p1",
    district="north",
    shift="day",
    start_us=1_000,
    end_us=2_000,
    status="planned",
    created_us=900,
    data_until_us=1_000,
    unit_hours=6.0,
    travel_s=1 / 7,
    objective=1 / 3,
    bound=1 / 3 + 1e-16,
    gap=0.0,
    dropped=[{"id": "z9", "priority": 0.1, "reason": "no unit-hours left"}],
    notes=["nothing known yet"],
    parameters={"resolution": 9, "weights": [0.1, 0.2], "model": {"name": "decayed counts"}},
    version=1,
    zones=(replace(ZONE, id="z1", rank=0), ZONE),
)


def cells(count: int) -> PlanCells:
    figures = np.random.default_rng(1).random((5, count))
    return PlanCells(0x8928308280FFFFF + 1024 * np.arange(count, dtype=np.uint64), *figures)


def put(database: Database, *plans: Plan, count: int = 3) -> None:
    with database.write() as c:
        for district in ("north", "south"):
            put_district(c, District(district, district, "UTC", {"day": "07:00"}, BOX))
        for plan in plans:
            add_plan(c, plan, cells(count))


def test_a_plan_comes_back_exactly(database: Database) -> None:
    put(database, PLAN, count=2_000)
    with database.read() as c:
        assert get_plan(c, "p1") == PLAN
        found = cells_of(c, "p1")
    assert all(
        getattr(found, name).tobytes() == getattr(cells(2_000), name).tobytes()
        for name in PlanCells.__dataclass_fields__
    )


def test_a_plan_of_nothing_is_a_plan(database: Database) -> None:
    put(database, replace(PLAN, zones=(), dropped=[], notes=["no unit-hours"]), count=0)
    with database.read() as c:
        found = get_plan(c, "p1")
        assert found is not None
        assert found.zones == ()
        assert len(cells_of(c, "p1")) == 0


@pytest.mark.parametrize("id", ["p2", "", "'; DROP TABLE plans; --", "%s", "?", "\\"])
def test_a_plan_that_is_not_there(database: Database, id: str) -> None:  # noqa: A002  the column's name
    put(database, PLAN)
    with database.read() as c:
        assert get_plan(c, id) is None
        assert len(cells_of(c, id)) == 0


def test_a_plan_is_stored_once_and_whole(database: Database) -> None:
    put(database, PLAN)
    with pytest.raises(IntegrityError):
        put(database, replace(PLAN, id="p2"), replace(PLAN, notes=["another"]))
    with database.read() as c:
        assert list_plans(c) == [PLAN]


def test_plans_are_listed_newest_first_by_what_is_asked(database: Database) -> None:
    early = replace(PLAN, id="early")
    late = replace(PLAN, id="late", start_us=2_000, end_us=3_000)
    again = replace(late, id="again", created_us=950, status="superseded")
    other = replace(PLAN, id="other", district="south", zones=())
    put(database, early, late, again, other)
    with database.write() as c:
        assert [plan.id for plan in list_plans(c)] == ["again", "late", "early", "other"]
        assert list_plans(c, district="north", from_us=2_000) == [again, late]
        assert list_plans(c, to_us=2_000) == [early, other]
        assert list_plans(c, status="superseded") == [again]
        assert list_plans(c, limit=1) == [again]
        assert list_plans(c, district="nowhere") == []
        assert set_status(c, "late", "superseded")
        assert not set_status(c, "never", "superseded")
        assert list_plans(c, status="superseded", district="north")[1].id == "late"
