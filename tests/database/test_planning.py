"""A shift planned on a real database: the same on both, and explained by its own figures."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from app import planning, simulate
from app.db import Database
from app.demo.load import load_town
from app.errors import Invalid, NotFound
from app.geo.grid import cells_at
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US, instance
from app.store.columns import ABSENT
from app.store.districts import District, put_district
from app.store.incidents import IncidentRows, add_incidents
from app.store.plans import Plan, PlanCells, cells_of

DAY = date(2026, 6, 12)
TOWN = simulate.town(5)
WHOLE = TOWN.districts[0]
START_US = instance(WHOLE.shifts, WHOLE.timezone, "evening", DAY).start_us
EVENING = planning.Request(WHOLE.id, "evening", DAY, 6.0)


@pytest.fixture(scope="module")
def databases(
    sqlite_template: Path, postgis_migrated: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Database]]:
    """The same ten days of the town on SQLite and on PostGIS."""
    path = tmp_path_factory.mktemp("town") / "town.db"
    shutil.copy(sqlite_template, path)
    plain = Settings(database_url=f"sqlite:///{path}", retention_days=0)
    both = (plain, postgis_migrated.model_copy(update={"retention_days": 0}))
    opened = tuple(Database(settings) for settings in both)
    for database, settings in zip(opened, both, strict=True):
        load_town(database, settings, TOWN, START_US - 10 * DAY_US, START_US + 2 * HOUR_US)
    yield opened
    for database in opened:
        database.close()


def planned(database: Database, request: planning.Request = EVENING) -> tuple[Plan, PlanCells]:
    plan = planning.plan_shift(database, Settings(), request, START_US + DAY_US)
    with database.read() as connection:
        return plan, cells_of(connection, plan.id)


def happened(times_us: list[int], lat: float, lon: float) -> IncidentRows:
    """An incident at one place at each of these instants."""
    n = len(times_us)
    return IncidentRows(
        incident_id=[f"i{k}" for k in range(n)],
        occurred_from_us=np.array(times_us, dtype=np.int64),
        occurred_to_us=np.full(n, ABSENT),
        reported_at_us=np.full(n, ABSENT),
        lat=np.full(n, lat),
        lon=np.full(n, lon),
        cell=cells_at(np.full(n, lat), np.full(n, lon), 10),
        category=["theft"] * n,
        final_category=[None] * n,
        source=np.ones(n, dtype=np.int8),
        municipality=[None] * n,
    )


def differing(one: object, other: object, names: list[str]) -> list[str]:
    return [name for name in names if not np.array_equal(getattr(one, name), getattr(other, name))]


def test_both_databases_give_the_same_plan_cell_for_cell(
    databases: tuple[Database, Database],
) -> None:
    (one, cells), (other, other_cells) = (planned(database) for database in databases)
    assert len(one.zones) > 3
    assert cells.dosage_s.sum() > 3600
    assert differing(cells, other_cells, [field.name for field in fields(PlanCells)]) == []
    plain = [field.name for field in fields(Plan) if field.name not in ("id", "zones")]
    assert differing(one, other, plain) == []
    for zone, twin in zip(one.zones, other.zones, strict=True):
        assert replace(zone, geometry=twin.geometry) == twin


def test_a_zones_figures_are_the_sums_over_its_cells(
    databases: tuple[Database, Database],
) -> None:
    plan, cells = planned(databases[0])
    place = {f"{cell:x}": k for k, cell in enumerate(cells.cell.tolist())}
    for rank, zone in enumerate(plan.zones, start=1):
        mine = [place[cell] for cell in zone.cells]
        assert zone.rank == rank
        for name in ("expected_incidents", "expected_harm", "priority"):
            assert getattr(zone, name) == pytest.approx(getattr(cells, name)[mine].sum(), rel=1e-12)
        assert zone.target_dosage_s == zone.visits * plan.parameters["visit_s"]
    assert sum(z.target_dosage_s for z in plan.zones) + plan.travel_s <= 6 * 3600
    assert plan.objective == pytest.approx(sum(z.priority for z in plan.zones), rel=1e-12)
    assert plan.objective <= plan.bound
    priority = cells.expected_harm * np.exp(-cells.residual_s / plan.parameters["tau_s"])
    assert np.allclose(cells.priority, priority, rtol=1e-12)
    assert (cells.residual_s <= cells.dosage_s + 1e-9).all()


def test_fewer_hours_drop_the_least_valuable_and_say_which(
    databases: tuple[Database, Database],
) -> None:
    full, _ = planned(databases[0])
    half, _ = planned(databases[0], replace(EVENING, unit_hours=3.0))
    assert sum(z.target_dosage_s for z in half.zones) + half.travel_s <= 3 * 3600
    assert len(half.zones) < len(full.zones)
    assert half.dropped
    kept = min(zone.priority for zone in half.zones)
    assert all(zone["priority"] <= kept for zone in half.dropped)


def test_a_plan_before_the_shift_knows_nothing_of_it(databases: tuple[Database, Database]) -> None:
    plan, cells = planned(databases[0])
    later, later_cells = planned(databases[0], replace(EVENING, as_of_us=START_US + HOUR_US))
    assert plan.data_until_us == START_US
    assert later.data_until_us == START_US + HOUR_US
    # Two hours into the shift are stored: they count for the plan made inside it, and only there.
    assert differing(cells, later_cells, ["expected_harm"]) == []
    assert differing(cells, later_cells, ["dosage_s"]) == ["dosage_s"]


def test_a_plan_ahead_of_time_knows_what_is_known_now(
    databases: tuple[Database, Database],
) -> None:
    now_us = START_US - 5 * HOUR_US
    plan = planning.plan_shift(databases[0], Settings(), EVENING, now_us)
    assert plan.data_until_us == now_us


def test_what_cannot_be_planned_says_why(databases: tuple[Database, Database]) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        planned(databases[0], replace(EVENING, district="nowhere"))
    with pytest.raises(Invalid, match="there are day, evening, night"):
        planned(databases[0], replace(EVENING, shift="noon"))
    with pytest.raises(Invalid, match="after the shift"):
        planned(databases[0], replace(EVENING, as_of_us=START_US + DAY_US))


def test_a_district_that_holds_no_cell_gets_an_empty_plan_that_says_so(
    databases: tuple[Database, Database],
) -> None:
    database = databases[0]
    tiny = WHOLE.polygon.centroid.buffer(1e-5)
    with database.write() as connection:
        put_district(connection, District("tiny", "Tiny", "UTC", {"day": "07:00"}, tiny))
    request = planning.Request("tiny", "day", DAY, 6.0)
    plan, cells = planned(database, request)
    if len(cells):  # a cell's centre may happen to lie inside
        pytest.fail("the district was to hold no cell's centre")
    assert (plan.zones, plan.objective, plan.bound, plan.gap) == ((), 0, 0, 0)
    assert any("no cell" in note for note in plan.notes)


def test_the_zones_open_in_gdal_with_rfc_7946_winding_and_six_decimals(
    databases: tuple[Database, Database], tmp_path: Path
) -> None:
    ogrinfo = shutil.which("ogrinfo")
    if ogrinfo is None:
        pytest.skip("ogrinfo is not installed (Debian: gdal-bin)")
    plan, _ = planned(databases[0])
    path = tmp_path / "zones.geojson"
    path.write_text(planning.zones_geojson(plan))
    said = subprocess.run(
        [ogrinfo, "-ro", "-al", "-so", path], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert f"Feature Count: {len(plan.zones)}" in said
    assert "priority: Real" in said
    for feature in json.loads(path.read_text())["features"]:
        for polygon in feature["geometry"]["coordinates"]:
            x, y = np.array(polygon[0]).T
            assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # counter-clockwise
            assert np.array_equal(np.round(polygon[0], 6), polygon[0])


def test_an_incident_of_long_ago_changes_nothing_and_costs_nothing(database: Database) -> None:
    """Year 1 in a zone west of Greenwich is before the first day that a calendar has."""
    old_us, new_us = -62_135_596_800 * 10**6, START_US - DAY_US
    area = District("a", "A", WHOLE.timezone, WHOLE.shifts, WHOLE.polygon)
    point = WHOLE.polygon.centroid
    with database.write() as connection:
        put_district(connection, area)
        add_incidents(connection, happened([old_us, new_us], point.y, point.x))
    plan, cells = planned(database, replace(EVENING, district="a"))
    assert plan.zones
    # One incident in the 28 days that a young record counts for: some 8 of 28 * 24 hours.
    assert 0.001 < cells.expected_incidents.sum() < 0.1


def test_what_is_left_of_patrol_fades_until_the_shift_begins(
    databases: tuple[Database, Database],
) -> None:
    now_us = START_US - 24 * HOUR_US
    later = planning.plan_shift(databases[0], Settings(), EVENING, now_us)
    with databases[0].read() as connection:
        cells = cells_of(connection, later.id)
    assert cells.dosage_s.sum() > 3600
    # Twelve half-lives of two hours: 1/4096 at most.
    assert (cells.residual_s <= cells.dosage_s / 4096 + 1e-9).all()


def test_notes_speak_of_what_is_on_record_here(databases: tuple[Database, Database]) -> None:
    plan, _ = planned(databases[0])
    assert set(plan.parameters["severity_weights"]) <= set(simulate.happenings.CATEGORIES)
    assert any("GPS" in note for note in plan.notes)
    assert plan.parameters["dwell"]["ways"]["near_gap_s"] == 900
