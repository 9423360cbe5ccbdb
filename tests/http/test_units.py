"""Units and their tracks over HTTP."""

from collections.abc import Callable

from app.keys import add_key
from app.settings import Settings
from tests.http.conftest import NOW_US, Service
from tests.http.test_border import assert_problem

NOW_S = NOW_US // 1_000_000


def ping(unit_id: str, ago_s: float, lat: float = 44.5, **more: object) -> dict[str, object]:
    return {"unit_id": unit_id, "time": NOW_S - ago_s, "lat": lat, "lon": -79.8, **more}


def test_a_unit_is_stale_past_the_limit_and_then_its_status_is_unknown(service: Service) -> None:
    service.post("/v1/pings", [ping("A", 10, status="busy", speed_mps=3.5), ping("A", 20)])
    service.post("/v1/pings", [ping("B", 900), ping("C", 901, status="busy")])
    units = {unit["unit_id"]: unit for unit in service.get("/v1/units").json()}
    assert units["A"] == {
        "unit_id": "A",
        "time": "2024-01-03T23:59:50Z",
        "age_s": 10.0,
        "stale": False,
        "status": "busy",
        "lat": 44.5,
        "lon": -79.8,
        "speed_mps": 3.5,
        "heading_deg": None,
        "idle_interval_s": None,
        "clock_offset_s": None,
    }
    assert [units[u]["stale"] for u in "ABC"] == [False, False, True]  # the limit is 900 s
    assert [units[u]["status"] for u in "BC"] == ["unknown", "unknown"]


def test_a_track_is_every_ping_in_order(service: Service) -> None:
    service.post("/v1/pings", [ping("A/1", 10, 44.2), ping("A/1", 30, 44.1), ping("B", 20)])
    track = service.get("/v1/units/A%2F1/track")
    assert track.headers["content-type"] == "application/geo+json"
    feature = track.json()
    assert feature["type"] == "Feature"
    assert feature["geometry"] == {
        "type": "LineString",
        "coordinates": [[-79.8, 44.1], [-79.8, 44.2]],
    }
    assert feature["properties"]["coordTimes"] == ["2024-01-03T23:59:30Z", "2024-01-03T23:59:50Z"]


def test_a_track_of_one_is_a_point_and_of_none_has_no_geometry(service: Service) -> None:
    service.post("/v1/pings", [ping("A", 10), ping("A", 30.5)])

    def kind(**bounds: object) -> object:
        feature = service.get("/v1/units/A/track", params=bounds).json()
        assert len(feature["properties"]["coordTimes"]) == (
            0 if feature["geometry"] is None else 1 + (feature["geometry"]["type"] != "Point")
        )
        return feature["geometry"] and feature["geometry"]["type"]

    assert kind() == "LineString"
    assert kind(**{"from": NOW_S - 10}) == "Point"  # from is included
    assert kind(to=NOW_S - 10) == "Point"  # to is not
    assert kind(**{"from": NOW_S - 10, "to": NOW_S - 10}) is None


def test_cleaning_leaves_out_a_spike(service: Service) -> None:
    # One ping a hundred kilometres north of its neighbours, ten seconds apart from each.
    pings = [ping("A", 100 - 10 * k, 45.5 if k == 5 else 44.5) for k in range(10)]
    service.post("/v1/pings", pings)
    raw = service.get("/v1/units/A/track").json()
    clean = service.get("/v1/units/A/track", params={"cleaned": "true"}).json()
    assert len(raw["properties"]["coordTimes"]) == 10
    assert len(clean["properties"]["coordTimes"]) == 9
    assert 45.5 not in [lat for _, lat in clean["geometry"]["coordinates"]]
    # Also where the bounds leave only the spike.
    alone = {"from": NOW_S - 50, "to": NOW_S - 49, "cleaned": "true"}
    assert service.get("/v1/units/A/track", params=alone).json()["geometry"] is None


def test_tracks_that_cannot_be(service: Service) -> None:
    service.post("/v1/pings", [ping("A", 10)])
    assert_problem(service.get("/v1/units/nobody/track"), 404)
    assert_problem(service.get("/v1/units/%00/track"), 404)
    assert_problem(service.get("/v1/units/A/track", params={"from": "yesterday"}), 422)
    assert_problem(service.get("/v1/units/A/track", params={"from": "2", "to": "1"}), 422)
    assert_problem(service.get("/v1/units/A/track", params={"cleaned": "perhaps"}), 422)


def states(service: Service) -> dict[str, dict[str, object]]:
    return {unit["unit_id"]: unit for unit in service.get("/v1/units").json()}


def test_a_parked_car_may_be_silent_for_its_idle_interval_and_two_minutes(
    service: Service,
) -> None:
    ago_s = {"still": 3720, "late": 3721, "moved": 3720, "drives": 3720, "undeclared": 3720}
    for name in ago_s:
        declared = {} if name == "undeclared" else {"idle_interval_s": 3600}
        assert service.put(f"/v1/units/{name}", declared).status_code == 201
    for name, last_s in ago_s.items():
        # 0.0004 degrees are 44 m, 0.0005 are 56 m; the limit without a speed is 50 m.
        step = 0.0005 if name == "moved" else 0.0004
        more = {"speed_mps": 8.0} if name == "drives" else {}
        service.post("/v1/pings", [ping(name, last_s + 60, 44.5)])
        service.post("/v1/pings", [ping(name, last_s, 44.5 + step, **more)])
    found = states(service)
    assert {name for name in ago_s if not found[name]["stale"]} == {"still"}
    assert found["still"]["idle_interval_s"] == 3600


def test_a_unit_is_declared_changed_and_forgotten(service: Service) -> None:
    made = service.put("/v1/units/4A12", {"idle_interval_s": 900})
    assert (made.status_code, made.json()["unit_id"]) == (201, "4A12")
    assert made.json()["time"] is None
    again = service.put("/v1/units/4A12", {})
    assert (again.status_code, again.json()["idle_interval_s"]) == (200, None)
    assert_problem(service.put("/v1/units/4A12", {"idle_interval_s": 0}), 422)
    assert_problem(service.put("/v1/units/4A12", {"colour": "blue"}), 422)
    assert_problem(service.put("/v1/units/4A12", {}, "plan"), 403)


def test_where_units_are_registered_others_are_refused(
    start: Callable[[Settings], Service], settings: Settings
) -> None:
    service = start(settings.model_copy(update={"register_units": False}))
    service.keys["admin"] = add_key(service.client.app.state.database, "a", ["admin"], 0)
    service.put("/v1/units/A", {})
    receipt = service.post("/v1/pings", [ping("A", 10), ping("B", 10)]).json()
    assert (receipt["accepted"], receipt["errors"][0]["code"]) == (1, "unknown_unit")


def test_a_key_may_be_limited_to_its_units(service: Service) -> None:
    database = service.client.app.state.database
    service.keys["one"] = add_key(database, "one", ["ingest"], 0, ["P-01", "P-02"])
    receipt = service.post("/v1/pings", [ping("P-01", 10), ping("P-03", 10)], "one").json()
    assert (receipt["accepted"], receipt["rejected"]) == (1, 1)
    assert (receipt["errors"][0]["index"], receipt["errors"][0]["code"]) == (1, "unknown_unit")
    assert list(states(service)) == ["P-01"]  # and the other is not registered by the way
    assert service.post("/v1/pings", [ping("P-03", 10)], "ingest").status_code == 200


def test_the_offset_of_a_clock_is_the_median_of_receipt_minus_fix(service: Service) -> None:
    for late_s in (2, 3, 70):  # one message was held up
        service.post("/v1/pings", [ping("A", late_s), ping("A", late_s + 500)])
    service.post("/v1/pings", [ping("B", -40)])  # a clock that is fast
    state = service.client.app.state
    state.clocks.store(state.database)
    found = states(service)
    assert (found["A"]["clock_offset_s"], found["B"]["clock_offset_s"]) == (3.0, -40.0)
