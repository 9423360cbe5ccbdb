"""What surrounds the layers: keys, links, proxies, caches, compression, other pages' scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from openapi_spec_validator import validate

from app.settings import Settings
from tests.http.conftest import Service
from tests.http.test_border import assert_problem

PATHS = ("", "/", "/api", "/conformance", "/collections", "/collections/cells",
         "/collections/cells/items", "/collections/cells/items/x", "/collections/cells/schema",
         "/collections/cells/queryables", "/nothing", "/collections/nothing")  # fmt: skip
PLANNED = {"district": "town", "shift": "day", "date": "2024-01-03"}
ITEMS = "/ogc/collections/cells/items"


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """One database serves: what is tested here does not reach it."""
    return sqlite_settings


@pytest.fixture
def layers(town_service: Service) -> Service:
    assert town_service.post("/v1/plans", PLANNED).status_code == 201
    return town_service


def hrefs(document: Any) -> list[str]:
    if isinstance(document, dict):
        mine = [document["href"]] if "href" in document else []
        return mine + [href for value in document.values() for href in hrefs(value)]
    return [h for value in document for h in hrefs(value)] if isinstance(document, list) else []


def test_keys_come_before_everything_else(service: Service) -> None:
    for path in PATHS:
        for query in ("", "?unknown=1", "?filter=((("):
            assert_problem(service.get(f"/ogc{path}{query}", None), 401)
            if path != "/nothing":  # which no key opens
                assert_problem(service.get(f"/ogc{path}{query}", "ingest"), 403)


def test_a_key_may_be_anywhere(service: Service) -> None:
    key = service.keys["view"]
    ways: list[dict[str, Any]] = [
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"headers": {"X-API-Key": key}},
        {"auth": ("anybody", key)},
        {"params": {"api_key": key}},
    ]
    for way in ways:
        assert service.get(ITEMS, None, **way).status_code == 200


def test_links_carry_a_key_exactly_when_the_address_did(layers: Service) -> None:
    key = layers.keys["view"]
    for path in (
        "",
        "/collections",
        "/collections/cells",
        "/collections/cells/items?limit=2&offset=2",
    ):
        inside = layers.get(f"/ogc{path}").text
        assert key not in inside
        assert "api_key" not in inside
        joint = "&" if "?" in path else "?"
        outside = layers.get(f"/ogc{path}{joint}api_key={key}&token=x", None)
        for href in hrefs(outside.json()):
            assert href.count(f"api_key={key}") == 1
            assert "token" not in href
            assert layers.get(href.removeprefix("http://service"), None).status_code == 200


def test_links_lead_back_through_proxies(service: Service) -> None:
    def base(**headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return str(service.get("/ogc", headers=named).json()["links"][0]["href"])

    assert base() == "http://service/ogc"
    assert base(host="gis.example:8443") == "http://gis.example:8443/ogc"
    assert (
        base(x_forwarded_proto="https", x_forwarded_host="gis.example") == "https://gis.example/ogc"
    )
    assert (
        base(
            x_forwarded_proto="https",
            x_forwarded_host="gis.example, inner",
            x_forwarded_prefix="/fp/",
        )
        == "https://gis.example/fp/ogc"
    )
    assert base(forwarded='for=1.2.3.4;proto=https;host="gis.example:444", for=5') == (
        "https://gis.example:444/ogc"
    )
    # What cannot be part of an address is not believed.
    for nonsense in ('"><script>', "a b", "x/../y", "a@b", "//evil"):
        assert base(x_forwarded_host=nonsense, x_forwarded_proto=nonsense,
                    x_forwarded_prefix=nonsense) == "http://service/ogc"  # fmt: skip


def test_the_public_address_may_be_set(
    start: Callable[[Settings], Service], service: Service, settings: Settings
) -> None:
    other = start(settings.model_copy(update={"public_url": "https://patrol.example/fp/"}))
    other.keys = service.keys
    page = other.get("/ogc", headers={"X-Forwarded-Host": "evil.example"}).json()
    assert page["links"][0]["href"] == "https://patrol.example/fp/ogc"


def test_what_a_client_has_is_not_sent_again(layers: Service) -> None:
    for collection in ("zones", "cells", "incidents", "units", "districts"):
        path = f"/ogc/collections/{collection}/items"
        first = layers.get(path)
        etag = first.headers["etag"]
        assert etag.startswith('"')  # a strong one
        for said in (etag, f'"other", {etag}', f"W/{etag}"):
            again = layers.get(path, headers={"If-None-Match": said})
            assert (again.status_code, again.content) == (304, b""), collection
            assert again.headers["etag"] == etag
        assert layers.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        # Another address is another thing.
        for query in ("?limit=1", "?crs=http://www.opengis.net/def/crs/EPSG/0/3857"):
            assert layers.get(path + query).headers["etag"] != etag
        one = layers.get(f"{path}/{first.json()['features'][0]['id']}")
        same = {"If-None-Match": one.headers["etag"]}
        assert layers.get(one.url.path, headers=same).status_code == 304


def test_a_new_plan_is_a_new_version_at_once(layers: Service) -> None:
    etag = layers.get(ITEMS).headers["etag"]
    assert layers.get(ITEMS, headers={"If-None-Match": etag}).status_code == 304
    assert layers.post("/v1/plans", PLANNED | {"shift": "night"}).status_code == 201
    again = layers.get(ITEMS, headers={"If-None-Match": etag})
    assert again.status_code == 200
    assert again.json()["numberMatched"] == 14


def test_positions_of_patrol_cars_are_in_no_cache(layers: Service) -> None:
    def kept(collection: str) -> str:
        answer = layers.get(f"/ogc/collections/{collection}/items")
        assert "Authorization" in answer.headers["vary"]
        return str(answer.headers["cache-control"])

    assert kept("units") == "no-store"
    assert kept("zones") == kept("incidents") == "private, no-cache"


def test_head_is_get_without_its_body(layers: Service) -> None:
    for path in ("/ogc", "/ogc/api", ITEMS):
        got, head = layers.get(path), layers.call("HEAD", path, "view")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "etag", "content-crs"):
            assert head.headers.get(name) == got.headers.get(name)
    assert_problem(layers.call("POST", ITEMS, "admin"), 405)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_answers_are_compressed_for_who_wants_that(layers: Service, coding: str) -> None:
    plain = layers.get(ITEMS, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    small = layers.get(ITEMS, headers={"Accept-Encoding": coding})
    assert small.headers["content-encoding"] == coding
    assert small.json() == plain.json()
    assert int(small.headers["content-length"]) < len(plain.content) / 2
    assert "Accept-Encoding" in small.headers["vary"]


def test_other_pages_may_read_only_if_that_is_set(
    start: Callable[[Settings], Service], service: Service, settings: Settings
) -> None:
    page = {"Origin": "https://map.example"}
    asking = page | {"Access-Control-Request-Method": "GET",
                     "Access-Control-Request-Headers": "x-api-key"}  # fmt: skip
    assert "access-control-allow-origin" not in service.get("/ogc", headers=page).headers
    open_to = "https://map.example https://other.example"
    other = start(settings.model_copy(update={"cors_origins": open_to}))
    other.keys = service.keys
    assert other.get("/ogc", headers=page).headers["access-control-allow-origin"] == page["Origin"]
    asked = other.call("OPTIONS", ITEMS, None, headers=asking)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == page["Origin"]
    foreign = other.get("/ogc", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


def test_a_page_ends_before_it_has_too_many_bytes(
    start: Callable[[Settings], Service], service: Service, settings: Settings
) -> None:
    # Each incident has some 3,300 bytes of texts: of 400 no more than 317 fit into a MiB.
    reports = [
        {"incident_id": f"I-{k}", "occurred_from": 0, "lat": 1, "lon": 2}
        | {"category": f"{k:0>250}é", "final_category": "é" * 256, "municipality": "€" * 256}
        for k in range(800)
    ]
    assert service.post("/v1/incidents", reports).status_code == 200
    small = start(settings.model_copy(update={"layer_page_mib": 1}))
    small.keys = service.keys
    got, path = [], "/ogc/collections/incidents/items"
    for _ in range(10):
        answer = small.get(path, headers={"Accept-Encoding": "identity"})
        assert len(answer.content) < 1.01 * 2**20
        page = answer.json()
        assert page["numberMatched"] == 800
        got += [feature["id"] for feature in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        path = following[0].removeprefix("http://service")
    assert sorted(got) == sorted(report["incident_id"] for report in reports)
    assert len(got) > page["numberReturned"]  # it took several pages


def test_the_api_document(service: Service) -> None:
    answer = service.get("/ogc/api")
    kind = "application/vnd.oai.openapi+json;version=3.0"
    assert answer.headers["content-type"] == kind
    document = answer.json()
    validate(document)
    assert document["openapi"].startswith("3.0.")
    # Where GDAL and QGIS look for the greatest page.
    limit = document["components"]["parameters"]["limit"]
    assert (limit["style"], limit["explode"]) == ("form", False)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000}
    box = document["components"]["parameters"]["bbox"]
    assert (box["style"], box["explode"], box["schema"]["type"]) == ("form", False, "array")
    assert (box["schema"]["minItems"], box["schema"]["maxItems"]) == (4, 6)
    for collection in ("zones", "cells", "incidents", "units", "districts"):
        operation = document["paths"][f"/collections/{collection}/items"]["get"]
        assert {"$ref": "#/components/parameters/limit"} in operation["parameters"]
        assert "application/geo+json" in operation["responses"]["200"]["content"]
    assert document["servers"] == [{"url": "http://service/ogc"}]
