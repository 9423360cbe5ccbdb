"""Positions in other systems' formats: what they are answered, and what is stored."""

import gzip
import json
from typing import Any

import pytest

from app import aliases
from tests.http.conftest import NOW_US, Service
from tests.http.test_border import assert_problem

TIME = "2024-01-03T12:00:00.000+00:00"
UNIX = 1_704_283_200  # the same
TRACCAR: dict[str, Any] = {
    "position": {
        "id": 0,
        "fixTime": TIME,
        "valid": True,
        "latitude": 44.5,
        "longitude": -79.8,
        "speed": 10.0,
        "course": 90.0,
        "accuracy": 0.0,
    },
    "device": {"id": 7, "uniqueId": "865284041968706", "name": "car 7"},
}
OWNTRACKS: dict[str, Any] = {
    "_type": "location",
    "topic": "owntracks/cars/7",
    "tid": "C7",
    "tst": UNIX,
    "lat": 44.5,
    "lon": -79.8,
    "vel": 36,
    "acc": 5,
}


def traccar(**position: Any) -> dict[str, Any]:
    return TRACCAR | {"position": TRACCAR["position"] | position}


def units(service: Service) -> dict[str, Any]:
    return {unit["unit_id"]: unit for unit in service.get("/v1/units").json()}


def test_a_forwarded_position_is_stored_once(service: Service) -> None:
    first = service.post("/v1/feeds/traccar", TRACCAR, "ingest")
    assert (first.status_code, first.json()["accepted"]) == (200, 1)
    again = service.post("/v1/feeds/traccar", traccar(id=5), "ingest")
    assert (again.status_code, again.json()["duplicate"]) == (200, 1)
    unit = units(service)["865284041968706"]
    assert (unit["time"], unit["lat"], unit["lon"]) == ("2024-01-03T12:00:00Z", 44.5, -79.8)
    # 10 knots are 18.52 km an hour: 18,520 m / 3,600 s.
    assert unit["speed_mps"] == pytest.approx(5.1444, abs=1e-4)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (traccar(valid=False), "malformed"),
        (traccar(latitude=91), "lat_out_of_range"),
        (traccar(fixTime="yesterday"), "time_invalid"),
        (traccar(fixTime=None), "missing_field"),
        (traccar(latitude=0, longitude=0), "null_island"),
        (traccar(fixTime="2024-01-05T00:00:00Z"), "in_future"),
        ({"position": TRACCAR["position"]}, "missing_field"),
        ([], "malformed"),
    ],
)
def test_what_another_try_cannot_mend_is_set_aside_with_200(
    service: Service, body: Any, code: str
) -> None:
    answer = service.post("/v1/feeds/traccar", body, "ingest")
    assert answer.status_code == 200
    assert (answer.json()["received"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["errors"][0]["code"] == code


def test_bytes_that_are_no_json_are_set_aside_too(service: Service) -> None:
    for content, headers in (
        (b"\xff", {}),
        (b"", {}),
        (b"[" * 100_000, {}),
        (b"\x1f\x8b\x08damaged", {"Content-Encoding": "gzip"}),
    ):
        for path in ("traccar", "owntracks", "osmand"):
            answer = service.call(
                "POST", f"/v1/feeds/{path}", "ingest", content=content, headers=headers
            )
            assert answer.status_code == 200, (path, content[:10])
    assert units(service) == {}


def test_key_and_size_are_errors(service: Service) -> None:
    for path in ("traccar", "osmand", "owntracks"):
        assert_problem(service.post(f"/v1/feeds/{path}", TRACCAR, None), 401)
        assert_problem(service.post(f"/v1/feeds/{path}", TRACCAR, "view"), 403)
        bomb = gzip.compress(b" " * (17 << 20))
        headers = {"Content-Encoding": "gzip"}
        answer = service.call("POST", f"/v1/feeds/{path}", "ingest", content=bomb, headers=headers)
        assert_problem(answer, 413)
    assert_problem(service.get("/v1/feeds/osmand?id=1", None), 401)


def test_other_parameters_are_let_be_only_where_the_protocol_has_many(service: Service) -> None:
    assert_problem(service.post("/v1/feeds/traccar?a=1", TRACCAR, "ingest"), 400)
    query = f"id=7&lat=44.5&lon=-79.8&timestamp={UNIX}&speed=10&batt=7&batt=8&xyz=%00"
    answer = service.get(f"/v1/feeds/osmand?{query}", "ingest")
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert units(service)["7"]["speed_mps"] == pytest.approx(5.1444, abs=1e-4)


def test_osmand_in_every_form_is_the_same_ping(service: Service) -> None:
    query = "id=7&lat=44.5&lon=-79.8&timestamp="
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    location = {
        "timestamp": "2024-01-03T12:00:00.000Z",
        "coords": {"latitude": 44.5, "longitude": -79.8, "speed": -1, "heading": -1},
    }
    path = "/v1/feeds/osmand"
    answers = [
        service.get(f"{path}?{query}{UNIX}", "ingest"),
        service.get(f"{path}?{query}{UNIX}000", "ingest"),
        service.get(f"{path}?{query}2024-01-03T12:00:00Z", "ingest"),
        service.get(f"{path}?{query}2024-01-03T13:00:00%2B01:00", "ingest"),
        service.get(f"{path}?deviceid=7&location=44.5,-79.8&timestamp={UNIX}", "ingest"),
        service.call("POST", f"{path}?{query}{UNIX}", "ingest"),
        service.call("POST", path, "ingest", content=f"{query}{UNIX}", headers=form),
        service.post(path, {"location": location, "device_id": "7"}, "ingest"),
    ]
    assert [answer.json()["accepted"] for answer in answers] == [1] + [0] * 7
    assert [answer.json()["duplicate"] for answer in answers] == [0] + [1] * 7


def test_a_message_without_a_time_is_one_of_now(service: Service) -> None:
    assert service.get("/v1/feeds/osmand?id=7&lat=1&lon=2", "ingest").json()["accepted"] == 1
    assert units(service)["7"]["time"] == "2024-01-04T00:00:00Z"  # where the clock stands
    assert NOW_US == 1_704_326_400_000_000


def test_owntracks_is_always_answered_with_an_empty_array(service: Service) -> None:
    messages = [OWNTRACKS, {"_type": "transition"}, {"_type": "location"}, {}]
    for message in messages:
        answer = service.post("/v1/feeds/owntracks", message, "ingest")
        assert (answer.status_code, answer.json()) == (200, [])
    unit = units(service)["owntracks/cars/7"]
    assert unit["speed_mps"] == pytest.approx(10)  # 36 km in 3,600 s


def test_an_alias_says_whose_position_it_is(service: Service) -> None:
    database = service.client.app.state.database
    aliases.set_alias(database, "owntracks", "owntracks/cars/7", "4A12")
    aliases.set_alias(database, "traccar", "865284041968706", "4A12")
    service.post("/v1/feeds/owntracks", OWNTRACKS, "ingest")
    service.post("/v1/feeds/traccar", traccar(fixTime="2024-01-03T12:00:01Z"), "ingest")
    assert set(units(service)) == {"4A12"}
    track = service.get("/v1/units/4A12/track").json()
    assert track["properties"]["coordTimes"] == ["2024-01-03T12:00:00Z", "2024-01-03T12:00:01Z"]


def test_a_database_that_is_away_is_503_so_that_it_is_sent_again(service: Service) -> None:
    database = service.client.app.state.database
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE unit_aliases RENAME TO gone")
    try:
        answer = service.call(
            "POST", "/v1/feeds/traccar", "ingest", content=json.dumps(TRACCAR).encode()
        )
        assert_problem(answer, 503)
    finally:
        with database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO unit_aliases")
