"""Dosage over HTTP: of a plan's zones as pings come in, visits, and a district's cells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely

from app import deps
from app.geo.grid import centres, from_text, to_text
from app.shifts import HOUR_US
from tests import town
from tests.http.conftest import DISTRICT, Service
from tests.http.test_border import assert_problem

# Wednesday's evening shift begins at 16:00; it is 17:00.
SHIFT_US = town.MONDAY_US + 2 * 24 * HOUR_US + 16 * HOUR_US
START_S = SHIFT_US // 1_000_000
NOW_S = START_S + 3600


@pytest.fixture
def at(service: Service) -> Callable[[float], None]:
    """Sets the clock, in seconds since 1970."""

    def to(seconds: float) -> None:
        service.client.app.dependency_overrides[deps.now_us] = lambda: int(seconds * 1e6)

    to(NOW_S)
    return to


@pytest.fixture
def plan(town_service: Service, at: Callable[[float], None]) -> Any:
    request = {"district": "town", "shift": "evening", "date": "2024-01-03"}
    made = town_service.post("/v1/plans", request, "plan").json()
    assert made["zones"]
    return made


def stand(plan: Any, seconds: float, every_s: int = 60, start_s: float = START_S) -> list[Any]:
    """Pings of a unit in the middle of the first zone's first cell."""
    lat, lon = (float(x[0]) for x in centres(from_text(plan["zones"][0]["cells"][:1])))
    return [
        {"unit_id": "A", "time": start_s + s, "lat": lat, "lon": lon}
        for s in range(0, int(seconds) + 1, every_s)
    ]


def dosage(service: Service, plan: Any) -> Any:
    answer = service.get(f"/v1/plans/{plan['id']}/dosage")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_dosage_follows_the_pings(
    town_service: Service, plan: Any, at: Callable[[float], None]
) -> None:
    target_s = plan["zones"][0]["target_dosage_s"]
    at(START_S + 60)
    town_service.post("/v1/pings", stand(plan, 60))
    said = dosage(town_service, plan)
    assert said["plan"] == plan["id"]
    assert said["as_of"] == "2024-01-03T16:01:00Z"
    assert said["zones"][0] == {
        "id": plan["zones"][0]["id"],
        "status": "part",
        "target_s": target_s,
        "delivered_s": 60.0,
        "remaining_s": target_s - 60,
        "visits": 1,
        "last_visit": "2024-01-03T16:01:00Z",
    }
    at(START_S + target_s)
    town_service.post("/v1/pings", stand(plan, target_s))
    assert dosage(town_service, plan)["zones"][0]["status"] == "met"
    at(START_S + 1.5 * target_s)
    town_service.post("/v1/pings", stand(plan, 1.5 * target_s))
    zone = dosage(town_service, plan)["zones"][0]
    assert (zone["status"], zone["remaining_s"]) == ("over", 0.0)
    assert {z["status"] for z in dosage(town_service, plan)["zones"][1:]} <= {"none"}


def test_a_stale_feed_is_unknown_and_never_nothing(
    town_service: Service, plan: Any, at: Callable[[float], None]
) -> None:
    # Nobody was heard since Monday.
    for zone in dosage(town_service, plan)["zones"]:
        assert (zone["status"], zone["delivered_s"], zone["remaining_s"]) == ("unknown", None, None)
    town_service.post("/v1/pings", stand(plan, 60))
    at(START_S + 60 + 901)  # stale after 900 s: what was seen is said, but not what is left
    zone = dosage(town_service, plan)["zones"][0]
    assert (zone["status"], zone["delivered_s"], zone["remaining_s"]) == ("unknown", 60.0, None)
    at(START_S - 60)  # before the shift nothing can have been delivered
    assert {z["status"] for z in dosage(town_service, plan)["zones"]} == {"none"}


def test_off_duty_and_at_the_station_is_no_dosage(
    town_service: Service, plan: Any, at: Callable[[float], None]
) -> None:
    off = [p | {"status": "off_duty"} for p in stand(plan, 300)]
    on = [p | {"status": "available"} for p in stand(plan, 600, start_s=START_S + 300)[1:]]
    town_service.post("/v1/pings", off + on)
    at(START_S + 900)
    # The status of 300 s holds until the ping at 360 s, so 540 s are left.
    assert dosage(town_service, plan)["zones"][0]["delivered_s"] == 540.0
    lat, lon = (float(x[0]) for x in centres(from_text(plan["zones"][0]["cells"][:1])))
    station = {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shapely.Point(lon, lat).buffer(0.0003)),
        "properties": {"name": "Headquarters", "kind": "station"},
    }
    assert town_service.put("/v1/places/hq", station).status_code == 201
    assert town_service.put("/v1/places/hq", station).status_code == 200
    assert town_service.get("/v1/places/hq").json()["properties"] == station["properties"]
    assert len(town_service.get("/v1/places").json()["features"]) == 1
    zone = dosage(town_service, plan)["zones"][0]
    assert (zone["status"], zone["delivered_s"], zone["visits"]) == ("none", 0.0, 0)
    layer = town_service.get("/v1/districts/town/dosage", params={"duty": "place"}).json()
    assert [cell["unit_s"] for cell in layer["cells"]] == [900.0]


def test_visits_and_why_their_length_is_not_judged(
    town_service: Service, plan: Any, at: Callable[[float], None]
) -> None:
    late = START_S + 1800
    town_service.post("/v1/pings", stand(plan, 780) + stand(plan, 600, 300, late))
    at(late + 600)
    one, other = town_service.get(f"/v1/plans/{plan['id']}/visits").json()
    assert one == {
        "zone": plan["zones"][0]["id"],
        "unit_id": "A",
        "start": "2024-01-03T16:00:00Z",
        "end": "2024-01-03T16:13:00Z",
        "inside_s": 780.0,
        "length_min": "10-16",
        "koper": True,
        "refused": None,
    }
    assert (other["length_min"], other["koper"]) == ("10-16", None)
    assert "300 s apart" in other["refused"]


def layer_of(service: Service, **asked: Any) -> Any:
    answer = service.get("/v1/districts/town/dosage", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_layers_of_the_town(town_service: Service) -> None:
    monday = {"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z"}
    centre, west, east = to_text(np.array([town.CENTRE, town.WEST, town.EAST]))
    said = layer_of(town_service, **monday)
    assert (said["basis"], said["resolution"], said["as_of"]) == ("dwell", 9, monday["to"])
    assert said["last_ping"] == "2024-01-01T09:01:00Z"
    assert (said["observed_s"], said["unobserved_s"]) == (660.0, 0.0)
    cells = {cell["cell"]: cell for cell in said["cells"]}
    # T-1 stands there for 600 s; T-2 drives through, faster than 13 m/s or not, as the cells are.
    everything = {c["cell"]: c for c in layer_of(town_service, state="all", **monday)["cells"]}
    assert everything[centre]["unit_s"] == pytest.approx(630, abs=0.1)
    assert everything[west]["unit_s"] == pytest.approx(15, abs=0.1)
    assert everything[east]["unit_s"] == pytest.approx(15, abs=0.1)
    assert cells[centre]["presence_s"] == cells[centre]["unit_s"]
    assert cells[centre]["low_s"] <= cells[centre]["unit_s"] <= cells[centre]["high_s"]
    standing = layer_of(town_service, state="stationary", **monday)["cells"]
    assert [(c["cell"], c["unit_s"]) for c in standing if c["unit_s"]] == [(centre, 600.0)]
    # From 08:05 on half of the standing is left.
    half = layer_of(town_service, state="stationary", **{**monday, "from": "2024-01-01T08:05:00Z"})
    assert [c["unit_s"] for c in half["cells"] if c["unit_s"]] == [300.0]
    assert layer_of(town_service, duty="committed", **monday)["cells"] == []
    unknown = layer_of(town_service, duty="unknown", state="stationary", **monday)["cells"]
    assert [(c["unit_s"], c["low_s"]) for c in unknown] == [(600.0, None)]


def test_layers_of_other_resolutions_come_from_pings(town_service: Service) -> None:
    monday = {"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z", "state": "all"}
    for resolution in (8, 10):
        said = layer_of(town_service, resolution=resolution, **monday)
        assert (said["basis"], said["resolution"]) == ("pings", resolution)
        inside = sum(cell["unit_s"] for cell in said["cells"])
        assert inside <= 660.0
    as_features = town_service.get("/v1/districts/town/dosage", params={**monday, "f": "geojson"})
    assert as_features.headers["content-type"] == "application/geo+json"
    assert as_features.json()["features"][0]["properties"].keys() == {
        "cell",
        "unit_s",
        "low_s",
        "high_s",
        "presence_s",
    }


def test_presence_counts_two_units_at_once_once(town_service: Service) -> None:
    lat, lon = (float(x[0]) for x in centres(np.array([town.CENTRE])))
    start_s = town.MONDAY_US // 1_000_000 + 12 * 3600
    # B from 0 to 600 s, C from 300 to 900 s: 1,200 unit-seconds, 900 seconds of presence.
    pings = [
        {"unit_id": unit, "time": start_s + after + s, "lat": lat, "lon": lon}
        for unit, after in (("B", 0), ("C", 300))
        for s in range(0, 601, 60)
    ]
    town_service.post("/v1/pings", pings)
    noon = {"from": "2024-01-01T12:00:00Z", "to": "2024-01-01T13:00:00Z"}
    (cell,) = layer_of(town_service, **noon)["cells"]
    assert (cell["unit_s"], cell["presence_s"]) == (1200.0, 900.0)


def test_what_cannot_be_asked(town_service: Service) -> None:
    path = "/v1/districts/town/dosage"
    assert_problem(town_service.get("/v1/districts/nowhere/dosage"), 404)
    assert_problem(town_service.get("/v1/plans/none/dosage"), 404)
    assert_problem(town_service.get("/v1/plans/none/visits"), 404)
    assert_problem(town_service.get(path, params={"resolution": 11}), 422)
    assert_problem(town_service.get(path, params={"duty": "proactive"}), 422)
    assert_problem(town_service.get(path, params={"from": "2", "to": "1"}), 422)
    assert_problem(town_service.get(path, params={"from": "0", "to": "9999999"}), 422)


@pytest.mark.parametrize(
    "change",
    [
        {"properties": {"name": "x", "kind": "pub"}},
        {"properties": {}},
        {"geometry": {"type": "Polygon", "coordinates": []}},
        {"id": "other"},
    ],
)
def test_places_that_are_none(service: Service, change: Any) -> None:
    place = DISTRICT | {"properties": {"name": "x"}} | change
    assert_problem(service.put("/v1/places/hq", place), 422)
    assert_problem(service.get("/v1/places/hq"), 404)
