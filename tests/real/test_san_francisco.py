"""A real city through the whole pipe, in weeks when both crimes and cabs are on record."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import planning
from app.db import Database
from app.settings import Settings
from app.store.districts import get_district
from app.tables import incidents, pings
from tests.real import san_francisco as city

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not city.DATA.is_dir(), reason=f"the published data is not in {city.DATA}"),
]


@pytest.fixture(scope="module")
def settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("san-francisco") / "city.db"
    shutil.copy(sqlite_template, path)
    return Settings(database_url=f"sqlite:///{path}", retention_days=0)


@pytest.fixture(scope="module")
def database(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(settings)
    city.load_city(opened, settings, tmp_path_factory.mktemp("files"))
    city.load_patrol(opened, settings)
    yield opened
    opened.close()


def test_every_row_of_the_city_is_accounted_for(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    again = city.load_city(database, settings, tmp_path)
    # Loading again is all duplicate; 74 rows in all stand at Y = 90, which is no place.
    for receipt in again.values():
        assert receipt["accepted"] == 0
        assert receipt["received"] == receipt["duplicate"] + receipt["rejected"]
    assert again["labelled"]["received"] + again["unlabelled"]["received"] == 558_958
    assert {e["code"] for e in again["labelled"]["errors"]} <= {"missing_field"}
    with database.read() as connection:
        stored = connection.scalar(select(func.count()).select_from(incidents))
        kept = connection.scalar(select(func.count()).select_from(pings))
    assert stored == sum(again[name]["duplicate"] for name in ("labelled", "unlabelled"))
    assert kept == 6_607_295  # the README of the data: no duplicate (cab, time)


def test_two_weeks_of_plans_meet_what_happened(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: dict[str, list[city.Judged]] = {}
    for name in (city.CITY, "MISSION"):
        with database.read() as connection:
            district = get_district(connection, name)
        assert district is not None
        plans = [
            planning.plan_shift(database, settings, request, city.NOW_US)
            for request in city.requests(name)
        ]
        assert [plan.data_until_us for plan in plans] == [plan.start_us for plan in plans]
        assert all(plan.zones for plan in plans)
        assert all(
            sum(z.target_dosage_s for z in plan.zones) + plan.travel_s <= plan.unit_hours * 3600
            for plan in plans
        )
        rows[name] = [city.judged(database, settings, plan, district.geometry) for plan in plans]
    with capsys.disabled():
        print(f"\n{city.table(rows)}")
    whole = city.pooled(rows[city.CITY])
    # Blind choice has PAI 1; twelve months of counts reach about ten in this city.
    assert whole.caught / whole.happened > 5 * whole.chosen / whole.cells
