"""What is acknowledged is stored, once, whatever the order, the batches and the notation."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.errors import BadInput, Invalid
from app.geo.fixes import Pings
from app.intake import Call, Receipt, accept_incidents, accept_pings, decoded_pings
from app.load import load_districts, load_incidents, load_pings
from app.settings import Settings
from app.store.districts import District, get_district, list_districts, put_district
from app.store.history import History
from app.store.pings import read_pings
from app.store.units import unit_numbers
from app.tables import incidents as incidents_table
from app.tables import units

NOW_S = 1_700_000_000
NOW_US = NOW_S * 10**6
EVER = (-(10**18), 10**18)
PING: dict[str, Any] = {"unit_id": "A", "time": NOW_S, "lat": 49.25, "lon": -123.1}
INCIDENT: dict[str, Any] = {"incident_id": "1", "occurred_from": NOW_S, "category": "THEFT"} | {
    "lat": 49.25,
    "lon": -123.1,
}


def call(items: Any, only_units: set[str] | None = None) -> Call:
    return Call(partial(decoded_pings, json.dumps(items).encode(), None, None), only_units)


def send(
    database: Database, settings: Settings, items: Any, only_units: set[str] | None = None
) -> Receipt:
    (receipt,) = accept_pings(database, settings, [call(items, only_units)], NOW_US).outcomes
    assert isinstance(receipt, Receipt)
    return receipt


def counts(receipt: Receipt) -> tuple[int, int, int]:
    return receipt.accepted, receipt.duplicate, receipt.rejected


def stored(database: Database) -> Pings:
    with database.read() as c:
        return read_pings(c, None, *EVER)


def test_a_thousand_pings_and_again(database: Database, settings: Settings) -> None:
    items = [PING | {"time": NOW_S - k} for k in range(935)]
    items += items[:50] + [PING | {"lat": 91}] * 10 + [PING | {"time": NOW_S + 3_600}] * 5
    random.Random(1).shuffle(items)  # noqa: S311  any order will do
    assert counts(send(database, settings, items)) == (935, 50, 15)
    assert counts(send(database, settings, items)) == (0, 985, 15)
    assert len(stored(database)) == 935


def test_one_instant_in_every_notation_is_one_ping(database: Database, settings: Settings) -> None:
    moment = datetime.fromtimestamp(NOW_S, UTC)
    east = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    times: list[Any] = [
        NOW_S,
        float(NOW_S),
        moment.isoformat(),
        east.isoformat(),
        east.isoformat(" "),
    ]
    receipt = send(database, settings, [PING | {"time": time} for time in times])
    assert counts(receipt) == (1, len(times) - 1, 0)
    assert stored(database).time_us.tolist() == [NOW_US]


def test_of_two_contents_the_one_that_sorts_first_stays(
    database: Database, settings: Settings
) -> None:
    low, high = PING | {"lat": 1.0}, PING | {"lat": 2.0}
    for unit, order in (("A", (low, high)), ("B", (high, low))):
        receipts = [send(database, settings, [item | {"unit_id": unit}]) for item in order]
        assert [counts(receipt) for receipt in receipts] == [(1, 0, 0), (0, 1, 0)]
    assert stored(database).lat.tolist() == [1.0, 1.0]


def test_units_register_themselves_only_with_a_good_ping(
    database: Database, settings: Settings
) -> None:
    send(database, settings, [PING, PING | {"unit_id": "B", "lat": 91}])
    with database.read() as c:
        assert list(c.scalars(select(units.c.unit_id))) == ["A"]


def test_units_that_an_administrator_registers(database: Database, settings: Settings) -> None:
    with database.write() as c:
        unit_numbers(c, ["A"], register=True)
    closed = settings.model_copy(update={"register_units": False})
    items = [PING, PING | {"unit_id": "B"}, PING | {"lat": 91}, PING | {"unit_id": "B", "time": 1}]
    receipt = send(database, closed, items)
    assert counts(receipt) == (1, 0, 3)
    assert [(error.index, error.code) for error in receipt.errors] == [
        (1, "unknown_unit"),
        (2, "lat_out_of_range"),
        (3, "too_old"),
    ]


def test_a_key_that_is_limited_to_units(database: Database, settings: Settings) -> None:
    items = [PING, PING | {"unit_id": "B"}]
    receipt = send(database, settings, items, only_units={"B"})
    assert counts(receipt) == (1, 0, 1)
    assert receipt.errors[0].field == "unit_id"
    with database.read() as c:
        assert list(c.scalars(select(units.c.unit_id))) == ["B"]


def test_incidents_are_upserted(database: Database, settings: Settings) -> None:
    def post(*items: dict[str, Any]) -> tuple[int, int, int]:
        body = json.dumps(items).encode()
        return counts(accept_incidents(database, settings, body, None, None, NOW_US))

    late = INCIDENT | {"incident_id": "2", "occurred_to": NOW_S + 60, "source": "officer"}
    assert post(INCIDENT, late, INCIDENT | {"incident_id": "3", "lat": 0, "lon": 0}) == (2, 0, 1)
    assert post(INCIDENT, late) == (0, 2, 0)
    assert post(INCIDENT | {"category": "ROBBERY"}, late) == (1, 1, 0)
    with database.read() as c:
        found = History(9).read(c, NOW_US + 61 * 10**6)
    assert [found.categories[k] for k in found.category] == ["ROBBERY", "THEFT"]
    assert (found.to_us - found.time_us).tolist() == [0, 60 * 10**6]
    assert found.source.tolist() == [0, 2]  # unknown where nothing was sent


def csv_file(path: Path, header: str, lines: Sequence[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_file_of_pings_again_and_in_another_order(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    lines = [f"{'AB'[k % 2]},{NOW_S - k},49.25,{-123 + k / 1e4}" for k in range(200)]
    bad = ["A,x,1,1", f"A,{NOW_S},,1", "A,1"]
    header = "unit_id,time,lat,lon"
    path = csv_file(tmp_path / "a.csv", header, [*lines, *bad])
    seen: list[tuple[int, int | None]] = []
    receipt = load_pings(
        database, settings, path, "generic", NOW_US, lambda done, total: seen.append((done, total))
    )
    assert [receipt[k] for k in ("received", "accepted", "duplicate", "rejected", "excluded")] == [
        203,
        200,
        0,
        3,
        0,
    ]
    assert [(e["index"], e["code"]) for e in receipt["errors"]] == [
        (200, "time_invalid"),
        (201, "missing_field"),
        (202, "malformed"),
    ]
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    before = stored(database)
    random.Random(1).shuffle(lines)  # noqa: S311  any order will do
    again = load_pings(database, settings, csv_file(path, header, lines), "generic", NOW_US)
    assert (again["accepted"], again["duplicate"]) == (0, 200)
    after = stored(database)
    assert before.time_us.tobytes() == after.time_us.tobytes()
    assert before.lon.tobytes() == after.lon.tobytes()


def test_incidents_without_ids_load_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('[derived_id]\n[exclude]\ncategory = ["DRILL"]\n', encoding="utf-8")
    header = "occurred_from,lat,lon,category"
    lines = ["5,1,1,THEFT", "5,1,1,THEFT", "5,1,1,ARSON", "6,1,1,DRILL"]
    for order, expected in ((lines, 3), (lines[::-1], 0)):
        path = csv_file(tmp_path / "a.csv", header, order)
        receipt = load_incidents(database, settings, path, profile, NOW_US)
        assert (receipt["received"], receipt["accepted"], receipt["excluded"]) == (3, expected, 1)
    with database.read() as c:
        assert c.scalar(select(func.count()).select_from(incidents_table)) == 3


def test_a_file_that_breaks_off_leaves_what_came_before(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = csv_file(tmp_path / "a.csv", "unit_id,time,lat,lon,altitude", ["A,1,1,1,1"])
    with pytest.raises(BadInput, match="altitude"):
        load_pings(database, settings, path, "generic", NOW_US)
    assert len(stored(database)) == 0


def test_districts_load_once_and_keep_what_was_set(database: Database, tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": square} for name in "AB"
    ]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    calendar = "day=07:00,night=19:00"

    def load(shifts: str) -> tuple[int, int]:
        receipt = load_districts(database, path, None, None, "America/Vancouver", shifts)
        return receipt["accepted"], receipt["duplicate"]

    assert load(calendar) == (2, 0)
    assert load(calendar) == (0, 2)
    with database.write() as c:
        first = get_district(c, "A")
        assert first is not None
        values = {**vars(first), "parent": "B", "unit_hours": 4.0}
        put_district(c, District(**values))
    assert load("day=06:00,night=18:00") == (2, 0)
    with database.read() as c:
        found = {district.id: district for district in list_districts(c)}
    assert (found["A"].parent, found["A"].unit_hours) == ("B", 4.0)
    assert found["B"].shifts == {"day": "06:00", "night": "18:00"}
    for timezone_, shifts in (("Nowhere/Else", calendar), ("UTC", "day")):
        with pytest.raises(Invalid):
            load_districts(database, path, None, None, timezone_, shifts)
