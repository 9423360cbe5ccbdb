"""A real city through the whole pipe, in weeks when both crimes and cabs are on record."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.settings import Settings
from app.tables import incidents, pings
from tests.real import san_francisco as city

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("san-francisco"),  # loads the city once, not once per worker
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
    assert stored == sum(again[name]["duplicate"] for name in ("labelled", "unlabelled"))


def test_two_weeks_of_plans_meet_what_happened(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The risk alone first; then the taxis come in, and the plans turn to where they are not."""
    alone = city.two_weeks(database, settings)
    city.load_patrol(database, settings)
    with_patrol = city.two_weeks(database, settings)
    for title, rows in (("Nothing known of patrol", alone), ("522 taxis as patrol", with_patrol)):
        with capsys.disabled():
            print(f"\n\n{title}\n{city.table(rows)}")
        for judged in (row for some in rows.values() for row in some):
            plan = judged.plan
            assert plan.data_until_us == plan.start_us
            assert plan.zones
            used_s = sum(zone.target_dosage_s for zone in plan.zones) + plan.travel_s
            assert used_s <= plan.unit_hours * 3600
    # Zones of equal shape: the risk must not do worse than plain counts where nothing else counts.
    found = city.pooled(alone[city.CITY])
    assert found.caught >= 0.97 * found.caught_by_counted_zones
    assert found.caught / found.happened > 5 * found.chosen / found.cells  # blind choice: 1
    # Where there is so much presence, what is left of the risk lies elsewhere.
    assert city.pooled(with_patrol[city.CITY]).caught < found.caught
    assert any("GPS" in note for note in alone[city.CITY][0].plan.notes)


def test_every_ping_is_stored_once(database: Database, settings: Settings) -> None:
    receipt = city.load_patrol(database, settings)
    assert (receipt["received"], receipt["rejected"]) == (6_607_295, 0)
    assert receipt["accepted"] + receipt["duplicate"] == 6_607_295
    with database.read() as connection:
        stored = connection.scalar(select(func.count()).select_from(pings))
    assert stored == 6_607_295  # the README of the data: no duplicate (cab, time)
