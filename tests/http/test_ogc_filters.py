"""Filters of the layers: CQL2 as text and as JSON, and what is refused, always with a reason."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from app.errors import BadInput
from app.ogc.collections import COLLECTIONS
from app.ogc.filters import MAX_DEPTH, deepest
from tests.http.conftest import Service

PLANNED = {"district": "town", "shift": "day", "date": "2024-01-03"}
MIDDLE = "POINT(-79.801436 44.480266)"
AROUND = "POLYGON((-79.802 44.48,-79.801 44.48,-79.801 44.481,-79.802 44.481,-79.802 44.48))"
EPSG = "http://www.opengis.net/def/crs/EPSG/0"


def count(service: Service, collection: str, text: str, **query: str) -> int:
    asked = {"filter": text, "limit": "1", **query}
    answer = service.get(f"/ogc/collections/{collection}/items", params=asked)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["numberMatched"])


# The town's ten incidents: 6 thefts, 2 assaults, 2 burglaries; 8 from the public, 1 from an
# officer, 1 from an alarm; 5 in CENTRE, 3 in WEST, 1 in EAST, 1 outside.
INCIDENTS = {
    "category = 'theft'": 6,
    "category <> 'theft'": 4,
    "category\t= 'theft'\nAND true": 6,
    "category IN ('assault','theft')": 8,
    "category NOT IN ('assault','theft')": 2,
    "category LIKE 'th%'": 6,
    "category LIKE 'TH%'": 0,
    "category LIKE '_heft'": 6,
    "category LIKE 'th\\%'": 0,
    "category LIKE '*'": 0,
    "CASEI(category) = CASEI('THEFT')": 6,
    "CASEI(category) LIKE CASEI('TH%')": 6,
    "category = 'theft' AND source = 'officer' OR source = 'alarm'": 2,
    "NOT (category = 'theft' OR category = 'assault')": 2,
    "municipality IS NULL": 10,
    "municipality IS NOT NULL": 0,
    "municipality = 'x'": 0,
    "category = 'O''Brien'": 0,
    "category = 'x'' OR 1=1 --'": 0,
    "category > 'b' AND category < 'c'": 2,
    "category BETWEEN 'b' AND 'c'": 2,
    "incident_id = 'T-01'": 1,
    "category = municipality": 0,
    "occurred_from = occurred_to": 9,
    "occurred_from >= TIMESTAMP('2024-01-03T00:00:00Z')": 2,
    "occurred_from < DATE('2024-01-02')": 5,
    "T_AFTER(occurred_from, TIMESTAMP('2024-01-03T00:00:00Z'))": 2,
    "T_BEFORE(occurred_from, DATE('2024-01-02'))": 5,
    "T_INTERSECTS(INTERVAL(occurred_from, occurred_to), "
    "INTERVAL('2024-01-01T20:00:00Z','2024-01-01T21:00:00Z'))": 1,
    "T_DURING(INTERVAL(occurred_from, occurred_to), INTERVAL('2024-01-01T10:30:00Z','..'))": 8,
    "T_DISJOINT(occurred_from, INTERVAL('..','2024-01-02T23:59:59Z'))": 2,
    f"S_INTERSECTS(geometry, {MIDDLE})": 0,  # the map's decimals are not those of the point
    f"S_INTERSECTS(geometry, {AROUND})": 5,
    f"S_WITHIN(geometry, {AROUND})": 5,
    f"S_CONTAINS({AROUND}, geometry)": 5,
    f"S_DISJOINT(geometry, {AROUND})": 5,
    f"NOT S_INTERSECTS(geometry, {AROUND}) AND category = 'theft'": 3,
    f"S_INTERSECTS(geometry, {AROUND}) OR category = 'theft'": 8,
    f"S_INTERSECTS(geometry, GEOMETRYCOLLECTION({MIDDLE},{AROUND}))": 5,
    "S_INTERSECTS(geometry, BBOX(-79.9,44.4,-79.7,44.5))": 9,
    "S_INTERSECTS(geometry, BBOX(140,40,-79,45))": 10,
    "geometry IS NULL": 0,
    "true": 10,
    "NOT true": 0,
}
CELLS = {
    "expected_incidents > 0": 7,
    "expected_incidents >= 0 AND priority < 1e300": 7,
    "district = 'town' AND shift = 'day'": 7,
    "shift = 'night'": 0,
    "start = TIMESTAMP('2024-01-03T08:00:00Z')": 7,
    "priority = expected_harm OR dosage_s >= -0.5": 7,
    f"S_INTERSECTS(geometry, {MIDDLE})": 1,
    f"S_CONTAINS(geometry, {MIDDLE})": 1,
    "S_INTERSECTS(geometry, LINESTRING(-79.801436 44.480266, -79.70 44.480266))": 2,
    "cell = 'nonsense'": 0,
}


@pytest.fixture
def layers(town_service: Service) -> Service:
    assert town_service.post("/v1/plans", PLANNED).status_code == 201
    return town_service


def test_filters_choose(layers: Service) -> None:
    for text, wanted in INCIDENTS.items():
        assert count(layers, "incidents", text) == wanted, text
    for text, wanted in CELLS.items():
        assert count(layers, "cells", text) == wanted, text
    assert count(layers, "units", "stale") == 2
    assert count(layers, "units", "stale = true AND status = 'unknown'") == 2
    assert count(layers, "units", "speed_mps IS NULL") == 2
    assert count(layers, "districts", "name LIKE 'The %'") == 1
    assert count(layers, "zones", "rank = 1 AND visits >= 1") == 1


def test_a_cell_is_found_by_its_name(layers: Service) -> None:
    feature = layers.get("/ogc/collections/cells/items?limit=1&offset=3").json()["features"][0]
    cell = feature["properties"]["cell"]
    found = layers.get("/ogc/collections/cells/items", params={"filter": f"cell = '{cell}'"}).json()
    assert found["features"] == [feature]


def test_json_says_the_same(layers: Service) -> None:
    where = {"type": "Point", "coordinates": [-79.801436, 44.480266]}
    for wanted, node in (
        (6, {"op": "=", "args": [{"property": "category"}, "theft"]}),
        (2, {"op": ">=", "args": [{"property": "occurred_from"}, {"date": "2024-01-03"}]}),
        (10, {"op": "isNull", "args": [{"property": "municipality"}]}),
        (9, {"op": "s_intersects", "args": [{"property": "geometry"},
                                            {"bbox": [-79.9, 44.4, -79.7, 44.5]}]}),
        (0, {"op": "s_intersects", "args": [{"property": "geometry"}, where]}),
    ):  # fmt: skip
        found = count(layers, "incidents", json.dumps(node), **{"filter-lang": "cql2-json"})
        assert found == wanted, node


def test_coordinates_of_a_filter_in_another_system(layers: Service) -> None:
    # The town's middle in Web Mercator, and as latitude before longitude.
    for system, point in (("3857", "-8883455 5539920"), ("4326", "44.480266 -79.801436")):
        text = f"S_INTERSECTS(geometry, POINT({point}))"
        assert count(layers, "cells", text, **{"filter-crs": f"{EPSG}/{system}"}) == 1


def test_coordinates_of_an_answer_in_another_system(layers: Service) -> None:
    # Web Mercator: x = 6378137 * radians(-79.801436) = -8883455.2
    for system, near in (("3857", (-8883455.2, 5539920)), ("4326", (44.480266, -79.801436))):
        for collection, one in (("incidents", "T-02"), ("units", "T-1")):
            for path in (f"items/{one}", "items"):
                answer = layers.get(
                    f"/ogc/collections/{collection}/{path}", params={"crs": f"{EPSG}/{system}"}
                )
                assert answer.headers["content-crs"] == f"<{EPSG}/{system}>"
                said = answer.json()
                feature = next(f for f in said.get("features", [said]) if f["id"] == one)
                assert feature["geometry"]["coordinates"] == pytest.approx(near, rel=1e-4)
        cells = [
            layers.get("/ogc/collections/cells/items", params=query).json()["features"][0]
            for query in ({}, {"crs": f"{EPSG}/{system}"})
        ]
        assert cells[0]["properties"] == cells[1]["properties"]
        assert cells[0]["geometry"] != cells[1]["geometry"]


def nested(depth: int) -> str:
    return "(" * depth + "visits=1" + ")" * depth


F = "filter="
J = "filter-lang=cql2-json&filter="
HOSTILE = [
    "limit=0",
    "limit=-1",
    "limit=ten",
    "limit=1.5",
    "limit=",
    "limit=1e3",
    "limit=%D9%A1",  # an Arabic one
    "limit=1&limit=2",
    "offset=-1",
    "offset=1e9",
    "offset=9999999999999999999999",
    "offset=0x10",
    "bbox=1,2,3",
    "bbox=1,2,3,4,5",
    "bbox=1,2,3,4,5,6,7",
    "bbox=a,b,c,d",
    "bbox=",
    "bbox=1,2,,4",
    "bbox=NaN,0,1,1",
    "bbox=-inf,0,inf,1",
    "bbox=1e999,0,1,1",
    "bbox=0,10,1,5",  # north below south
    "bbox=-181,0,1,1",
    "bbox=0,0,1,91",
    "bbox=0,0,5,1,1,2",  # the lower height above the upper one
    "bbox=0,0,1,1&bbox-crs=EPSG:4326",
    "bbox-crs=http://www.opengis.net/def/crs/OGC/1.3/CRS84",  # without a box
    "crs=http://www.opengis.net/def/crs/EPSG/0/99999",
    "crs=",
    "crs=../../etc/passwd",
    "datetime=yesterday",
    "datetime=",
    "datetime=/",
    "datetime=../..",
    "datetime=2024-13-01T00:00:00Z",
    "datetime=2024-01-01T00:00:00",  # without an offset
    "datetime=2024-02-30",
    "datetime=2024-01-02/2024-01-01",
    "datetime=2024-01-01/2024-01-02/2024-01-03",
    "datetime=1704067200",
    "unknown=1",
    "LIMIT=1",
    "f=html",
    "token=a&token=b",
    "visits=many",
    "rank=1%00",
    "plan=%FF%FE",  # no UTF-8
    "plan=%ED%A0%80",  # half a surrogate pair
    f"{F}",
    f"{F}visits",
    f"{F}nothing=1",
    f"{F}visits=",
    f"{F}visits='1'",
    f"{F}plan=1",
    f"{F}visits=1;DROP TABLE plans",
    f"{F}visits=1 OR 1=1",
    f"{F}visits=1 UNION SELECT 1",
    f"{F}visits=(SELECT 1)",
    f"{F}pg_sleep(10)=1",
    f"{F}visits=pg_sleep(10)",
    f"{F}load_extension('x')=1",
    f"{F}plans.parameters='x'",
    f'{F}"plan""; DROP TABLE plans; --"=\'x\'',
    f"{F}visits+1=2",
    f"{F}visits=1e400",
    f"{F}visits=NULL",
    f"{F}cells='x'",  # no queryable
    f"{F}plan LIKE '{'%' * 40}a'",
    f"{F}visits LIKE '1'",
    f"{F}start='noon'",
    f"{F}start=TIMESTAMP('2024-99-99T00:00:00Z')",
    f"{F}T_AFTER(plan,DATE('2024-01-01'))",
    f"{F}T_AFTER(DATE('2024-01-01'),DATE('2024-01-01'))",
    f"{F}T_SOON(start,DATE('2024-01-01'))",
    f"{F}S_INTERSECTS(plan,POINT(0 0))",
    f"{F}S_INTERSECTS(geometry,POINT(200 0))",
    f"{F}S_INTERSECTS(geometry,POINT EMPTY)",
    f"{F}S_INTERSECTS(geometry,POLYGON((0 0,1 1,0 0)))",
    f"{F}S_INTERSECTS(geometry,POLYGON((0 0,1 1,1 0,0 1,0 0)))",
    f"{F}S_INTERSECTS(geometry,'POINT(0 0)')",
    f"{F}S_INTERSECTS(geometry,BBOX(0,1,2))",
    f"{F}S_DWITHIN(geometry,POINT(0 0),10)",
    f"{F}S_INTERSECTS(geometry,POINT(1e300 1e300))&filter-crs={EPSG}/3857",
    f"{F}{nested(MAX_DEPTH + 1)}",
    f"{F}{nested(5000)}",
    f"{F}{'(' * 5000}",
    f"{F}{'(' * 24}visits=1",
    f"{F}visits={'-' * 5000}1",
    f"{F}visits={'- ' * 50}1",
    f"{F}{'NOT ' * 2000}visits=1",
    f"{F}{' OR '.join(['visits=1'] * 900)}",
    f"{F}{'x' * 9000}=1",
    f"{F}visits=1)",
    f"{F}visits=1&filter-lang=sql",
    f"{F}visits=1&filter-crs=EPSG:4326",
    "filter-lang=cql2-text",
    f"{J}visits=1",
    f"{J}" + '{"op":"=","args":[{"property":"visits"}]}',
    f"{J}" + '{"op":"=","args":[1,1]}',
    f"{J}" + '{"op":"exec","args":[{"property":"visits"},1]}',
    f"{J}" + '{"op":"and","args":[]}',
    f"{J}" + '{"op":"like","args":[{"property":"plan"},{"property":"plan"}]}',
    f"{J}" + '{"op":"s_intersects","args":[{"property":"geometry"},{"bbox":[0,0]}]}',
    f"{J}" + '{"op":"in","args":[{"property":"visits"},"1"]}',
    f"{J}" + '{"op":{"a":1},"args":[]}',
    f"{J}" + '{"op":"not","args":[' * 1000,
    f"{J}[]",
    f"{J}null",
    f"{J}1",
    "&".join(f"a{k}=1" for k in range(200)),
    "plan=" + "x" * 20_000,
]


def test_hostile_requests_are_refused_with_a_reason(
    service: Service,
) -> None:
    assert len(HOSTILE) >= 64
    for query in HOSTILE:
        asked = quote(query, safe="=&%,/:.") if "%" not in query else query.replace(" ", "%20")
        answer = service.get(f"/ogc/collections/zones/items?{asked}")
        assert answer.status_code == 400, (query[:100], answer.status_code, answer.text[:300])
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["detail"]) > 10, query[:100]
        assert len(answer.text) < 1500, query[:100]
    assert service.get("/healthz").status_code == 200


ONE = "/collections/cells"


@pytest.mark.parametrize(
    "path", ["", "/api", "/conformance", "/collections", ONE, f"{ONE}/schema", f"{ONE}/items/x"]
)
def test_other_addresses_take_no_parameters_but_the_key(service: Service, path: str) -> None:
    for query in ("limit=1", "bbox=0,0,1,1", "unknown=1", "f=html"):
        assert service.get(f"/ogc{path}?{query}").status_code == 400, query
    wanted = 404 if path.endswith("/x") else 200
    asked = {"api_key": service.keys["view"], "token": "anything", "f": "json"}
    assert service.get(f"/ogc{path}", None, params=asked).status_code == wanted


def test_brackets_in_quotes_are_none(layers: Service) -> None:
    assert count(layers, "incidents", f"category = '{'(' * 50}'") == 0
    assert count(layers, "incidents", "category = '-------'") == 0
    assert deepest("([{}])()") == 3
    for text in ("(", ")", "(]", "[(])"):
        with pytest.raises(BadInput):
            deepest(text)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_queryables_can_be_queried(layers: Service, collection: str) -> None:
    answer: Any = layers.get(f"/ogc/collections/{collection}/queryables")
    assert answer.headers["content-type"] == "application/schema+json"
    for name in answer.json()["properties"]:
        assert count(layers, collection, f"{name} IS NULL OR {name} IS NOT NULL") > 0
