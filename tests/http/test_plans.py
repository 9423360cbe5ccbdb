"""Plans over HTTP: made, listed, and read as zones and cells."""

from typing import Any

import pytest

from app.geo.grid import to_text
from tests import town
from tests.http.conftest import DISTRICT, Service
from tests.http.test_border import assert_problem

REQUEST = {"district": "town", "shift": "day", "date": "2024-01-03"}
MEMBERS = {
    "id",
    "district",
    "shift",
    "status",
    "data_until",
    "unit_hours",
    "travel_s",
    "zones",
    "dropped",
    "objective",
    "bound",
    "gap",
    "notes",
    "parameters",
    "version",
}
ZONE_MEMBERS = {
    "id",
    "rank",
    "cells",
    "area_km2",
    "expected_incidents",
    "expected_harm",
    "priority",
    "visits",
    "target_dosage_s",
    "reasons",
}


@pytest.fixture
def plan(town_service: Service) -> Any:
    answer = town_service.post("/v1/plans", REQUEST, "plan")
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/plans/{answer.json()['id']}"
    return answer.json()


def test_a_plan_is_what_the_contract_says(town_service: Service, plan: Any) -> None:
    assert plan.keys() == MEMBERS
    # Wednesday's day shift; it is Thursday, so that all before its start counts.
    assert plan["shift"] == {
        "name": "day",
        "start": "2024-01-03T08:00:00Z",
        "end": "2024-01-03T16:00:00Z",
    }
    assert plan["data_until"] == plan["shift"]["start"]
    assert plan["zones"]
    for rank, zone in enumerate(plan["zones"], 1):
        assert zone.keys() == ZONE_MEMBERS
        assert zone["rank"] == rank
        assert set(zone["cells"]) <= set(to_text(town.GRID.cells))
        assert zone["target_dosage_s"] == zone["visits"] * plan["parameters"]["visit_s"]
        assert zone["reasons"]
    spent_s = plan["travel_s"] + sum(zone["target_dosage_s"] for zone in plan["zones"])
    assert spent_s <= plan["unit_hours"] * 3600
    assert town_service.get(f"/v1/plans/{plan['id']}").json() == plan


def test_the_same_request_gives_the_same_plan(town_service: Service, plan: Any) -> None:
    again = town_service.post("/v1/plans", REQUEST, "plan").json()
    assert again.pop("id") != plan["id"]
    assert again == {name: value for name, value in plan.items() if name != "id"}


def test_zones_are_features(town_service: Service, plan: Any) -> None:
    answer = town_service.get(f"/v1/plans/{plan['id']}/zones")
    assert answer.headers["content-type"] == "application/geo+json"
    features = answer.json()["features"]
    assert [f["properties"] for f in features] == plan["zones"]
    assert all(f["geometry"]["type"].endswith("Polygon") for f in features)


def test_cells_are_those_of_the_district(town_service: Service, plan: Any) -> None:
    cells = town_service.get(f"/v1/plans/{plan['id']}/cells").json()
    assert {cell["cell"] for cell in cells} == set(to_text(town.GRID.cells))
    by_name = {cell["cell"]: cell for cell in cells}
    for zone in plan["zones"]:  # its figures are the sums over its cells
        for figure in ("expected_incidents", "expected_harm", "priority"):
            total = sum(by_name[cell][figure] for cell in zone["cells"])
            assert zone[figure] == pytest.approx(total)
    features = town_service.get(f"/v1/plans/{plan['id']}/cells", params={"f": "geojson"})
    assert features.headers["content-type"] == "application/geo+json"
    assert [f["properties"] for f in features.json()["features"]] == cells
    assert_problem(town_service.get(f"/v1/plans/{plan['id']}/cells", params={"f": "kml"}), 422)


def test_patrol_is_counted_where_it_was(town_service: Service) -> None:
    # T-1 stands ten minutes in CENTRE on Monday morning, within a day of the evening shift.
    answer = town_service.post("/v1/plans", REQUEST | {"shift": "evening", "date": "2024-01-01"})
    cells = town_service.get(f"/v1/plans/{answer.json()['id']}/cells").json()
    dosage_s = {cell["cell"]: cell["dosage_s"] for cell in cells}
    assert dosage_s[to_text([town.CENTRE])[0]] >= 600  # type: ignore[arg-type]  one cell


def test_no_hours_give_an_empty_plan_that_says_so(town_service: Service) -> None:
    empty = town_service.post("/v1/plans", REQUEST | {"unit_hours": 0}).json()
    assert (empty["zones"], empty["objective"], empty["gap"]) == ([], 0, 0)
    assert empty["notes"]


def test_no_incidents_give_an_empty_plan_that_says_so(service: Service) -> None:
    service.put("/v1/districts/town", DISTRICT)
    empty = service.post("/v1/plans", REQUEST)
    assert empty.status_code == 201
    assert empty.json()["zones"] == []
    assert empty.json()["notes"]


def test_hours_come_from_the_request_the_district_the_setting(town_service: Service) -> None:
    def hours(**more: object) -> float:
        return float(town_service.post("/v1/plans", REQUEST | more).json()["unit_hours"])

    assert hours() == town_service.settings.unit_hours
    district = DISTRICT | {"properties": {**DISTRICT["properties"], "unit_hours": 2}}  # type: ignore[dict-item]  a mapping
    town_service.put("/v1/districts/town", district)
    assert hours() == 2
    assert hours(unit_hours=1.5) == 1.5


@pytest.mark.parametrize(
    "change",
    [
        {"unit_hours": -1},
        {"unit_hours": None},
        {"unit_hours": "6"},
        {"unit_hours": True},
        {"unit_hours": 10**400},
        {"as_of": None},
        {"as_of": "2024-01-03"},
        {"as_of": "2024-01-03T09:00:00"},
        {"as_of": "1704272400"},
        {"as_of": "2024-01-03T16:00:00Z"},
        {"date": "2024-02-30"},
        {"date": 20240103},
        {"date": "9999-12-31"},
        {"shift": "noon"},
        {"shift": None},
        {"wind": "north"},
    ],
    ids=str,
)
def test_requests_that_make_no_sense(town_service: Service, change: dict[str, Any]) -> None:
    assert_problem(town_service.post("/v1/plans", REQUEST | change, "plan"), 422)
    assert town_service.get("/v1/plans").json() == []


def test_a_shift_in_the_gap_of_a_clock_change(service: Service) -> None:
    # On 10 March 2024 clocks in Toronto go from 02:00 to 03:00: of two shifts that start in that
    # hour the first has no time.
    gap = {"timezone": "America/Toronto", "shifts": {"a": "02:10", "b": "03:10", "c": "12:00"}}
    service.put(
        "/v1/districts/town",
        DISTRICT | {"properties": {"name": "Gap"} | gap},
    )
    answer = service.post("/v1/plans", REQUEST | {"shift": "a", "date": "2024-03-10"})
    assert "clock" in assert_problem(answer, 422)["detail"]


def test_as_of_inside_the_shift_is_the_cut_off(town_service: Service) -> None:
    inside = town_service.post("/v1/plans", REQUEST | {"as_of": 1_704_272_400}).json()
    assert inside["data_until"] == "2024-01-03T09:00:00Z"


def test_plans_are_listed_newest_first_and_filtered(town_service: Service) -> None:
    ids = [
        town_service.post("/v1/plans", REQUEST | {"date": date}).json()["id"]
        for date in ("2024-01-01", "2024-01-03", "2024-01-02")
    ]

    def listed(**filters: str) -> list[str]:
        answer = town_service.get("/v1/plans", params=filters)
        assert answer.status_code == 200, answer.text
        return [plan["id"] for plan in answer.json()]

    first, third, second = ids
    assert listed() == [third, second, first]
    assert listed(district="town", **{"from": "2024-01-02", "to": "2024-01-02"}) == [second]
    assert listed(**{"from": "2024-01-02T16:00:00Z"}) == [third]  # half-open
    assert listed(to="2024-01-02T08:00:00Z") == [first]
    assert listed(status="nothing") == []
    assert_problem(town_service.get("/v1/plans", params={"district": "nobody"}), 404)
    assert_problem(town_service.get("/v1/plans", params={"from": "soon"}), 422)


def test_plans_that_are_none(town_service: Service) -> None:
    assert_problem(town_service.post("/v1/plans", REQUEST | {"district": "nobody"}), 404)
    for path in ("", "/zones", "/cells"):
        assert_problem(town_service.get(f"/v1/plans/nothing{path}"), 404)
        assert_problem(town_service.get(f"/v1/plans/%00{path}"), 404)
