"""OGC API - Features, part 1: the assertions of the abstract test suite (OGC 17-069r4, annex A).

Names in brackets are those of the suite.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest

from app.ogc.collections import COLLECTIONS
from tests import town
from tests.http.conftest import NOW_US, Service

CORE = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
TODAY = "2024-01-04T00:00:00Z"  # NOW_US
FEATURES = {"zones": None, "cells": 7, "incidents": 10, "units": 2, "districts": 1}


@pytest.fixture
def layers(town_service: Service) -> Service:
    """The town with one plan: seven cells, two units, ten incidents, one district."""
    asked = {"district": "town", "shift": "day", "date": "2024-01-03"}
    assert town_service.post("/v1/plans", asked).status_code == 201
    return town_service


def read(service: Service, address: str, **query: Any) -> Any:
    """A JSON document below /ogc, or at an absolute address."""
    path = address.removeprefix("http://service").removeprefix("/ogc")
    answer = service.get(f"/ogc{path}", params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def link(document: Any, rel: str, kind: str | None = None) -> str:
    found = [
        each
        for each in document["links"]
        if each["rel"] == rel and kind in (None, each.get("type"))
    ]
    assert len(found) == 1, (rel, document["links"])
    return str(found[0]["href"])


def pages(service: Service, collection: str, **query: Any) -> Iterator[Any]:
    page = read(service, f"/collections/{collection}/items", **query)
    while True:
        yield page
        following = [each for each in page["links"] if each["rel"] == "next"]
        if not following:
            return
        assert following[0]["type"] == "application/geo+json"
        page = read(service, following[0]["href"])


def test_landing_page(layers: Service) -> None:
    # [root-op, root-success]
    for path in ("", "/"):
        page = read(layers, path)
        assert link(page, "service-desc", "application/vnd.oai.openapi+json;version=3.0")
        assert link(page, "conformance", "application/json")
        assert link(page, "data", "application/json")
        assert link(page, "self") == "http://service/ogc"
        assert page["title"]
        for each in page["links"]:
            assert layers.get(each["href"].removeprefix("http://service")).status_code == 200


def test_conformance(layers: Service) -> None:
    # [conformance-op, conformance-success]
    classes = read(layers, link(read(layers, ""), "conformance"))["conformsTo"]
    assert {f"{CORE}/core", f"{CORE}/geojson", f"{CORE}/oas30"} <= set(classes)
    assert len(classes) == len(set(classes))


def test_collections(layers: Service) -> None:
    # [fc-md-op, fc-md-success, fc-md-items, fc-md-items-links, sfc-md-op, sfc-md-success]
    every = read(layers, link(read(layers, ""), "data"))
    assert link(every, "self") == "http://service/ogc/collections"
    assert [each["id"] for each in every["collections"]] == list(COLLECTIONS)
    for each in every["collections"]:
        assert each == read(layers, f"/collections/{each['id']}")
        assert each["itemType"] == "feature"
        assert all(found["href"] and found["rel"] and found["type"] for found in each["links"])
        path = f"http://service/ogc/collections/{each['id']}"
        assert link(each, "items", "application/geo+json") == f"{path}/items"
        # [crs84]
        assert CRS84 in each["crs"]


def test_extents_hold_every_feature(layers: Service) -> None:
    # [fc-md-extent, fc-md-extent-multi]
    for each in read(layers, "/collections")["collections"]:
        west, south, east, north = each["extent"]["spatial"]["bbox"][0]
        page = read(layers, f"/collections/{each['id']}/items")
        for lon, lat in itertools.chain(*(positions(f) for f in page["features"])):
            assert west - 1e-6 <= lon <= east + 1e-6
            assert south - 1e-6 <= lat <= north + 1e-6
        if each["id"] != "districts":
            first, last = each["extent"]["temporal"]["interval"][0]
            assert first <= last


def positions(feature: Any) -> Iterator[tuple[float, float]]:
    todo = [feature["geometry"]["coordinates"]]
    while todo:
        some = todo.pop()
        if isinstance(some[0], int | float):
            yield tuple(some)
        else:
            todo.extend(some)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_features(layers: Service, collection: str) -> None:
    # [fc-op, fc-response, fc-links, fc-timeStamp, fc-numberMatched, fc-numberReturned, validation]
    answer = layers.get(f"/ogc/collections/{collection}/items")
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == f"<{CRS84}>"
    page = answer.json()
    assert page["type"] == "FeatureCollection"
    assert page["timeStamp"] == TODAY
    assert datetime.fromisoformat(page["timeStamp"]).timestamp() * 1e6 == NOW_US
    assert page["numberReturned"] == page["numberMatched"] == len(page["features"])
    assert FEATURES[collection] in (None, len(page["features"]))
    assert page["features"]
    assert link(page, "self", "application/geo+json") == answer.url
    assert not [each for each in page["links"] if each["rel"] in ("next", "prev")]
    # [f-op, f-success, f-links] of each
    ids = [feature["id"] for feature in page["features"]]
    assert len(set(ids)) == len(ids)
    for feature in page["features"]:
        one = layers.get(f"/ogc/collections/{collection}/items/{feature['id']}")
        assert one.headers["content-type"] == "application/geo+json"
        document = one.json()
        assert link(document, "self") == one.url
        assert link(document, "collection", "application/json").endswith(f"/{collection}")
        assert {name: document[name] for name in feature} == feature


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_features_are_as_the_schema_says(layers: Service, collection: str) -> None:
    about = read(layers, f"/collections/{collection}")
    schema = read(layers, link(about, "http://www.opengis.net/def/rel/ogc/1.0/schema"))
    wanted = list(schema["properties"])
    assert wanted[-1] == "geometry"
    nullable = set(wanted) - set(schema["required"]) - {"geometry"}
    for feature in read(layers, f"/collections/{collection}/items")["features"]:
        assert list(feature["properties"]) == wanted[:-1]  # every key on every feature
        said = {n: v for n, v in feature["properties"].items() if v is not None}
        assert feature["properties"].keys() - said.keys() <= nullable
        jsonschema.validate(
            said, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        kind = schema["properties"]["geometry"]["format"].removeprefix("geometry-")
        assert feature["geometry"]["type"].lower() == kind


def test_limit(layers: Service) -> None:
    # [fc-limit-definition, fc-limit-response]
    for limit in (1, 3, 7, 10_000):
        page = read(layers, "/collections/cells/items", limit=limit)
        assert page["numberReturned"] == len(page["features"]) == min(limit, 7)
        assert page["numberMatched"] == 7
    # Above the maximum it is the maximum, never an error.
    assert read(layers, "/collections/cells/items", limit=10**30)["numberReturned"] == 7


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_pages_hold_each_feature_once(layers: Service, collection: str) -> None:
    whole = read(layers, f"/collections/{collection}/items")["features"]
    found = list(pages(layers, collection, limit=3))
    assert [f for page in found for f in page["features"]] == whole
    for page in found[:-1]:
        assert page["numberMatched"] == len(whole)
        asked = parse_qs(urlsplit(link(page, "next")).query)
        assert asked["offset"][0].isdecimal()  # ArcGIS counts on that
    beyond = read(layers, f"/collections/{collection}/items", offset=10**9)
    assert (beyond["features"], beyond["numberReturned"]) == ([], 0)


def test_pages_carry_what_was_asked_along(layers: Service) -> None:
    asked = {
        "bbox": "-79.9,44.4,-79.7,44.5",
        "datetime": "2024-01-01/..",
        "filter": "source = 'public'",
        "crs": "http://www.opengis.net/def/crs/EPSG/0/4326",
        "limit": "2",
    }
    following = link(read(layers, "/collections/incidents/items", **asked), "next")
    said = {name: values[0] for name, values in parse_qs(urlsplit(following).query).items()}
    assert said == asked | {"offset": "2"}


def test_pages_stay_where_they_are_while_features_come_in(layers: Service) -> None:
    for collection in ("incidents", "cells"):
        every = read(layers, f"/collections/{collection}/items")["features"]
        first = read(layers, f"/collections/{collection}/items", limit=4)
        if collection == "cells":
            asked = {"district": "town", "shift": "night", "date": "2024-01-03"}
            assert layers.post("/v1/plans", asked).status_code == 201
        else:
            early = {"incident_id": "A", "lat": 44.48, "lon": -79.8, "category": "theft"}
            assert layers.post("/v1/incidents", early | {"occurred_from": 0}).status_code == 200
        rest = read(layers, link(first, "next").replace("limit=4", "limit=1000"))
        got = first["features"] + rest["features"]
        assert got[: len(every)] == every
        assert len(got) > len(every)


def test_bbox(layers: Service) -> None:
    # [fc-bbox-definition, fc-bbox-response]; the town's middle is 44.480266, -79.801436
    def found(collection: str, bbox: str, **others: str) -> int:
        page = read(layers, f"/collections/{collection}/items", bbox=bbox, **others)
        return int(page["numberMatched"])

    point = "-79.801436,44.480266,-79.801436,44.480266"
    for collection, there in FEATURES.items():
        assert found(collection, "-180,-90,180,90") == there or collection == "zones"
        assert found(collection, "0,0,1,1") == 0
    assert found("cells", point) == 1
    assert found("cells", "-79.801436,44.480266,0,-79.801436,44.480266,100") == 1  # with heights
    assert found("districts", point) == 1
    assert found("incidents", "-79.8015,44.4802,-79.8014,44.4803") == 5  # in CENTRE
    # The corners of the box around a hexagon are not in it, though they are in its bounds.
    cell = read(layers, "/collections/cells/items", bbox=point)["features"][0]
    lons, lats = zip(*positions(cell), strict=True)
    corner = f"{min(lons)},{min(lats)},{min(lons) + 1e-6},{min(lats) + 1e-6}"
    inside = read(layers, "/collections/cells/items", bbox=corner)["features"]
    assert cell["id"] not in [feature["id"] for feature in inside]
    # From Japan to the east over the date line to Toronto: but not the other way.
    assert found("cells", "140,40,-79,45") == 7
    assert found("cells", "-79,40,140,45") == 0
    epsg = "http://www.opengis.net/def/crs/EPSG/0/"
    swapped = "44.480266,-79.801436,44.480266,-79.801436"
    assert found("cells", swapped, **{"bbox-crs": f"{epsg}4326"}) == 1
    metres = "-8883500,5539900,-8883400,5540000"  # around the middle, in Web Mercator
    assert found("cells", metres, **{"bbox-crs": f"{epsg}3857"}) == 1


def test_units_without_a_position_match_every_box(layers: Service) -> None:
    # [fc-bbox-response B]: what is associated with no geometry is part of every answer.
    database = layers.client.app.state.database
    with database.write() as c:
        c.exec_driver_sql("INSERT INTO units (unit_id) VALUES ('SILENT')")
    page = read(layers, "/collections/units/items", bbox="0,0,1,1", datetime="1990-01-01")
    assert [(f["id"], f["geometry"]) for f in page["features"]] == [("SILENT", None)]
    # Where types are guessed from the first features, those that have values come first.
    every = read(layers, "/collections/units/items")["features"]
    assert [f["id"] for f in every] == ["T-1", "T-2", "SILENT"]
    assert every[2]["properties"]["status"] == "unknown"


def test_datetime(layers: Service) -> None:
    # [fc-time-definition, fc-time-response]
    def found(collection: str, moment: str) -> int:
        page = read(layers, f"/collections/{collection}/items", datetime=moment)
        return int(page["numberMatched"])

    # The planned shift is 08:00 to 16:00 of 3 January, its end not included.
    assert found("cells", "2024-01-03T08:00:00Z") == 7
    assert found("cells", "2024-01-03T16:00:00Z") == 0
    assert found("cells", "2024-01-03T17:59:59+02:00") == 7
    assert found("cells", "2024-01-03") == 7
    assert found("cells", "2024-01-03T16:00:00Z/..") == 0
    assert found("cells", "../2024-01-03T08:00:00Z") == found("cells", "/2024-01-03T08:00:00Z") == 7
    assert found("cells", "2024-01-03T15:59:59Z/") == 7
    # Two incidents on Wednesday, and the burglary lasts from 12:00 to 24:00 on Monday.
    assert found("incidents", "2024-01-03T00:00:00Z/2024-01-03T23:59:59Z") == 2
    assert found("incidents", "2024-01-01T20:00:00Z") == 1
    assert found("units", "2024-01-01T09:01:00Z") == 1  # T-2's last ping
    assert found("districts", "1990-01-01") == 1  # has no time


def test_properties_as_parameters(layers: Service) -> None:
    # [fc-filters]
    def found(collection: str, **query: str) -> int:
        return int(read(layers, f"/collections/{collection}/items", **query)["numberMatched"])

    assert found("incidents", category="theft") == 6
    assert found("incidents", category="theft", source="officer") == 1
    assert found("incidents", category="theft'") == 0
    assert found("incidents", occurred_from="2024-01-01T09:00:00Z") == 1
    assert found("cells", district="town", expected_incidents="-1") == 0
    assert found("zones", rank="1") == 1
    assert found("units", stale="true") == 2


def test_what_is_not_there(layers: Service) -> None:
    for path in ("/nothing", "/collections/nothing", "/collections/nothing/items",
                 "/collections/zones/items/nothing", "/collections/units/items/nobody",
                 "/collections/cells/nothing"):  # fmt: skip
        answer = layers.get(f"/ogc{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_ids_that_need_escaping(layers: Service) -> None:
    odd = "a/b?c=1&d#é %2F"
    report = {"incident_id": odd, "occurred_from": 0, "lat": 1, "lon": 2, "category": "theft"}
    assert layers.post("/v1/incidents", report).status_code == 200
    feature = read(layers, "/collections/incidents/items", incident_id=odd)["features"][0]
    assert feature["id"] == odd
    address = "http://service/ogc/collections/incidents/items/a%2Fb%3Fc%3D1%26d%23%C3%A9%20%252F"
    answer = layers.get(address.removeprefix("http://service"))
    assert answer.json()["id"] == odd
    assert link(answer.json(), "self") == address


def test_an_empty_layer_still_carries_its_schema(service: Service) -> None:
    for collection in COLLECTIONS:
        page = read(service, f"/collections/{collection}/items")
        assert (page["numberMatched"], page["features"]) == (0, [])
        about = read(service, f"/collections/{collection}")
        schema = read(service, link(about, "describedby", "application/schema+json"))
        assert len(schema["properties"]) > 5
        assert "spatial" not in about.get("extent", {})


def test_the_time_of_an_answer_is_now(layers: Service) -> None:
    layers.client.app.dependency_overrides.clear()
    before = datetime.now(UTC).replace(microsecond=0)
    said = datetime.fromisoformat(read(layers, "/collections/zones/items")["timeStamp"])
    assert before <= said <= datetime.now(UTC)


def test_zones_and_cells_are_those_of_the_plan(layers: Service) -> None:
    plan = layers.get("/v1/plans").json()[0]
    zones = read(layers, "/collections/zones/items")["features"]
    assert [z["properties"]["zone"] for z in zones] == [z["id"] for z in plan["zones"]]
    for feature, zone in zip(zones, plan["zones"], strict=True):
        said = feature["properties"]
        assert said["cells"].split() == zone["cells"]
        for name in ("rank", "area_km2", "priority", "visits", "target_dosage_s"):
            assert said[name] == zone[name]
        assert (said["plan"], said["start"]) == (plan["id"], plan["shift"]["start"])
    cells = layers.get(f"/v1/plans/{plan['id']}/cells").json()
    features = read(layers, "/collections/cells/items")["features"]
    assert [{n: f["properties"][n] for n in cells[0]} for f in features] == cells
    assert len(cells) == len(town.GRID)


def test_a_parked_unit_may_be_silent_as_long_as_it_declares(layers: Service) -> None:
    # P-1 stands, and was heard two hours, 7,200 s, ago.
    ping = {"unit_id": "P-1", "lat": 44.48, "lon": -79.8, "speed_mps": 0.0}
    heard = [ping | {"time": NOW_US / 1e6 - before_s} for before_s in (7260, 7200)]
    assert layers.post("/v1/pings", heard).json()["accepted"] == 2
    for idle_s, stale in ((3600, True), (7200, False)):
        assert layers.put("/v1/units/P-1", {"idle_interval_s": idle_s}).status_code == 200
        said = {unit["unit_id"]: unit["stale"] for unit in layers.get("/v1/units").json()}
        page = read(layers, "/collections/units/items")["features"]
        assert {f["id"]: f["properties"]["stale"] for f in page} == said
        assert said["P-1"] == stale
