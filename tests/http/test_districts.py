"""Districts and their shifts over HTTP."""

import copy
import itertools
import json
from typing import Any

import pytest

from tests.http.conftest import DISTRICT, Service
from tests.http.test_border import assert_problem

SQUARE = [[[-80.0, 44.0], [-79.0, 44.0], [-79.0, 45.0], [-80.0, 45.0], [-80.0, 44.0]]]


def district(**properties: Any) -> dict[str, Any]:
    made = copy.deepcopy(DISTRICT)
    made["geometry"] = {"type": "Polygon", "coordinates": SQUARE}
    made["properties"] |= properties
    return made


def test_created_then_replaced_then_read_as_it_was_put(service: Service) -> None:
    first = service.put("/v1/districts/A 1", district(name="North"))
    assert (first.status_code, first.headers["content-type"]) == (201, "application/geo+json")
    again = service.put("/v1/districts/A 1", first.json() | {"name": "ignored"})
    assert again.status_code == 200
    assert again.json() == first.json()
    listed = service.get("/v1/districts").json()
    assert listed["type"] == "FeatureCollection"
    assert listed["features"] == [first.json()] == [service.get("/v1/districts/A 1").json()]
    assert first.json()["properties"] == {
        "name": "North",
        "timezone": "UTC",
        "shifts": {"night": "00:00", "day": "08:00", "evening": "16:00"},
        "parent": None,
        "unit_hours": None,
    }


def test_the_border_is_drawn_counter_clockwise(service: Service) -> None:
    clockwise = district()
    clockwise["geometry"]["coordinates"] = [SQUARE[0][::-1]]
    ring = service.put("/v1/districts/a", clockwise).json()["geometry"]["coordinates"][0][0]
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))
    assert area / 2 == pytest.approx(1.0)  # one degree by one degree, positive if so drawn


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"shifts": {}}, "at least one shift"),
        ({"shifts": None}, "shifts"),
        ({"shifts": {"day": "7"}}, "HH:MM"),
        ({"shifts": {"day": "07:00", "late": "07:00"}}, "same time"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"timezone": "../etc/passwd"}, "no time zone"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "printable"),
        ({"parent": "nobody"}, "nobody"),
        ({"unit_hours": -1}, "unit_hours"),
        ({"unit_hours": "6"}, "unit_hours"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_properties_that_make_no_sense(
    service: Service, properties: dict[str, Any], said: str
) -> None:
    problem = assert_problem(service.put("/v1/districts/a", district(**properties)), 422)
    assert said in problem["detail"]
    assert service.get("/v1/districts").json()["features"] == []


@pytest.mark.parametrize("left_out", ["name", "timezone", "shifts"])
def test_properties_that_are_missing(service: Service, left_out: str) -> None:
    body = district()
    del body["properties"][left_out]
    assert left_out in assert_problem(service.put("/v1/districts/a", body), 422)["detail"]


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Polygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},  # no area
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},  # not closed
        {"type": "Polygon", "coordinates": "nowhere"},
        {"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], ["a", 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [181, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 91], [2, 91], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1e999, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[None, 0], [1, 0], [1, 1], [None, 0]]]},
        {"type": "Polygon", "coordinates": {"a": 1}},
    ],
    ids=str,
)
def test_areas_that_are_none(service: Service, geometry: Any) -> None:
    body = json.dumps(district() | {"geometry": geometry})
    answer = service.call(
        "PUT", "/v1/districts/a", content=body, headers={"Content-Type": "application/geo+json"}
    )
    assert "geometry" in assert_problem(answer, 422)["detail"]


def test_a_crossed_polygon_is_made_valid(service: Service) -> None:
    # A bow tie over a unit square: two triangles of a quarter each remain.
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    put = service.put("/v1/districts/a", district() | {"geometry": bow})
    assert put.status_code == 201
    assert len(put.json()["geometry"]["coordinates"]) == 2


def test_parents_form_a_tree(service: Service) -> None:
    assert service.put("/v1/districts/region", district()).status_code == 201
    assert service.put("/v1/districts/beat", district(parent="region")).status_code == 201
    assert_problem(service.put("/v1/districts/region", district(parent="beat")), 422)
    assert_problem(service.put("/v1/districts/region", district(parent="region")), 422)


def test_ids(service: Service) -> None:
    assert_problem(service.put("/v1/districts/a", district() | {"id": "b"}), 422)
    assert service.put("/v1/districts/a%2F1", district() | {"id": "a/1"}).status_code == 201
    assert service.get("/v1/districts/a%2F1").json()["id"] == "a/1"
    for unusable in ("%00", "%20a", "x" * 65):
        assert_problem(service.put(f"/v1/districts/{unusable}", district()), 422)
        assert_problem(service.get(f"/v1/districts/{unusable}"), 404)


def test_shifts_of_days_start_on_those_days(service: Service) -> None:
    service.put(
        "/v1/districts/a",
        district(timezone="America/Regina", shifts={"day": "07:00", "night": "19:00"}),
    )
    answer = service.get(
        "/v1/shifts", params={"district": "a", "from": "2024-01-01", "to": "2024-01-01"}
    )
    # Regina is six hours behind UTC all year.
    assert answer.json() == [
        {
            "district": "a",
            "name": "day",
            "start": "2024-01-01T13:00:00Z",
            "end": "2024-01-02T01:00:00Z",
        },
        {
            "district": "a",
            "name": "night",
            "start": "2024-01-02T01:00:00Z",
            "end": "2024-01-02T13:00:00Z",
        },
    ]


def test_shifts_of_instants_are_those_with_a_part_between_them(service: Service) -> None:
    service.put("/v1/districts/a", district())

    def starts(begin: str, end: str) -> list[str]:
        params = {"district": "a", "from": begin, "to": end}
        return [s["start"][:13] for s in service.get("/v1/shifts", params=params).json()]

    eight = "2024-01-01T08:00:00Z"
    assert starts("2024-01-01T07:59:59Z", eight) == ["2024-01-01T00"]  # half-open
    assert starts(eight, "2024-01-01T08:00:01Z") == ["2024-01-01T08"]
    assert starts("1704096000", "2024-01-01T10:00:00+02:00") == []  # both are eight o'clock
    # Without bounds: from now, Thursday midnight, for seven days of three shifts.
    assert len(service.get("/v1/shifts", params={"district": "a"}).json()) == 21


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"district": "nobody"}, 404),
        ({"district": "\0"}, 404),
        ({}, 422),
        ({"district": "a", "from": "2024-02-30"}, 422),
        ({"district": "a", "from": "2024-01-01T00:00:00"}, 422),
        ({"district": "a", "from": "0001-01-01T00:00:00+14:00"}, 422),
        ({"district": "a", "to": "9999-12-31T23:59:59-14:00"}, 422),
        ({"district": "a", "from": "0001-01-01"}, 422),
        ({"district": "a", "from": "2024-01-02", "to": "2024-01-01"}, 422),
        ({"district": "a", "from": "2020-01-01", "to": "2024-01-01"}, 422),
    ],
)
def test_shifts_that_cannot_be_asked_for(
    service: Service, params: dict[str, str], status: int
) -> None:
    service.put("/v1/districts/a", district())
    assert_problem(service.get("/v1/shifts", params=params), status)
