"""The documents around the features: landing page, conformance, collections, schemas."""

from typing import Any
from urllib.parse import quote

from app.moments import text_of
from app.ogc import crs
from app.ogc.addresses import GEOJSON, JSON, OPENAPI, SCHEMA, Addresses
from app.ogc.collections import COLLECTIONS, Collection, Property
from app.ogc.extents import Extent
from app.ogc.query import Query

DRAFT = "https://json-schema.org/draft/2020-12/schema"
RELS = "http://www.opengis.net/def/rel/ogc/1.0"
_SPEC = "http://www.opengis.net/spec"
CONFORMS_TO = (
    f"{_SPEC}/ogcapi-common-1/1.0/conf/core",
    f"{_SPEC}/ogcapi-common-2/1.0/conf/collections",
    *(f"{_SPEC}/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson", "oas30")),
    f"{_SPEC}/ogcapi-features-2/1.0/conf/crs",
    *(
        f"{_SPEC}/ogcapi-features-3/1.0/conf/{name}"
        for name in ("queryables", "queryables-query-parameters", "filter", "features-filter")
    ),
    *(
        f"{_SPEC}/ogcapi-features-5/1.0/conf/{name}"
        for name in ("schemas", "queryables", "core-roles-features")
    ),
    *(
        f"{_SPEC}/cql2/1.0/conf/{name}"
        for name in (
            *("cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators"),
            *("case-insensitive-comparison", "basic-spatial-functions"),
            *("basic-spatial-functions-plus", "spatial-functions", "temporal-functions"),
        )
    ),
)


def landing(at: Addresses) -> dict[str, Any]:
    """The landing page."""
    return {
        "title": "Focus Patrol layers",
        "description": "Zones, cells, incidents, units and districts for GIS clients.",
        "links": [
            at.link("self", "", JSON, "This page"),
            at.link("service-desc", "/api", OPENAPI, "The interface, as OpenAPI 3.0"),
            at.link("conformance", "/conformance", JSON, "What the interface conforms to"),
            at.link("data", "/collections", JSON, "The layers"),
        ],
    }


def conformance(at: Addresses) -> dict[str, Any]:
    """What the interface conforms to."""
    links = [at.link("self", "/conformance", JSON, "This page")]
    return {"links": links, "conformsTo": list(CONFORMS_TO)}


def collections(at: Addresses, extents: dict[str, Extent]) -> dict[str, Any]:
    """All collections."""
    return {
        "links": [at.link("self", "/collections", JSON, "This page")],
        "crs": list(crs.ALL),
        "collections": [collection(at, each, extents[each.id]) for each in COLLECTIONS.values()],
    }


def collection(at: Addresses, which: Collection, extent: Extent) -> dict[str, Any]:
    """One collection, without features."""
    path = f"/collections/{which.id}"
    where: dict[str, Any] = {}
    if extent.box is not None:
        where["spatial"] = {"bbox": [list(extent.box)], "crs": crs.CRS84}
    if extent.interval_us is not None:
        where["temporal"] = {
            "interval": [[text_of(us) for us in extent.interval_us]],
            "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian",
        }
    return {
        "id": which.id,
        "title": which.title,
        "description": which.description,
        **({"extent": where} if where else {}),
        "itemType": "feature",
        "crs": list(crs.ALL),
        "storageCrs": crs.CRS84,
        "links": [
            at.link("self", path, JSON, which.title),
            at.link("items", f"{path}/items", GEOJSON, "Its features"),
            at.link("describedby", f"{path}/schema", SCHEMA, "Schema of its features"),
            at.link(f"{RELS}/schema", f"{path}/schema", SCHEMA, "Schema of its features"),
            at.link(f"{RELS}/queryables", f"{path}/queryables", SCHEMA, "What filters may use"),
        ],
    }


def schema(at: Addresses, which: Collection) -> dict[str, Any]:
    """The schema of a collection's features (OGC API - Features, part 5)."""
    members = {
        each.name: each.schema() | {"x-ogc-propertySeq": seq} | _role(which, each)
        for seq, each in enumerate(which.properties, 1)
    }
    return _schema(at, which, "schema", members) | {
        "required": [each.name for each in which.properties if not each.nullable],
        "additionalProperties": False,
    }


def queryables(at: Addresses, which: Collection) -> dict[str, Any]:
    """What filters on a collection may name (OGC API - Features, part 3)."""
    members = {each.name: each.schema() for each in which.properties if each.queryable}
    return _schema(at, which, "queryables", members) | {"additionalProperties": False}


def features_head(at: Addresses, which: Collection, query: Query, pairs: dict[str, str],
                  matched: int, returned: int) -> dict[str, Any]:  # fmt: skip
    """The members of a page beside its features."""
    path = f"/collections/{which.id}/items"
    links = [at.link("self", path, GEOJSON, "This page", **pairs)]
    after = query.offset + returned
    if returned and after < matched:
        links.append(at.link("next", path, GEOJSON, "The next page", **pairs | {"offset": after}))
    if query.offset:
        before = {"offset": max(0, query.offset - query.limit)}
        links.append(at.link("prev", path, GEOJSON, "The page before", **pairs | before))
    links.append(at.link("collection", f"/collections/{which.id}", JSON, which.title))
    return {"numberMatched": matched, "numberReturned": returned, "links": links}


def feature_links(at: Addresses, which: Collection, id: str, pairs: dict[str, str]) -> list[Any]:  # noqa: A002  the format's word
    """The links of a single feature."""
    path = f"/collections/{which.id}"
    return [
        at.link("self", f"{path}/items/{quote(id, safe='')}", GEOJSON, "This feature", **pairs),
        at.link("collection", path, JSON, which.title),
    ]


def _schema(at: Addresses, which: Collection, name: str, members: dict[str, Any]) -> dict[str, Any]:
    geometry = {"title": "Geometry", "format": f"geometry-{which.geometry}"}
    if name == "schema":
        geometry["x-ogc-role"] = "primary-geometry"
    return {
        "$schema": DRAFT,
        "$id": at.href(f"/collections/{which.id}/{name}"),
        "type": "object",
        "title": which.title,
        "description": which.description,
        "properties": {**members, "geometry": geometry},
    }


def _role(which: Collection, each: Property) -> dict[str, str]:
    roles = {"start": "primary-interval-start", "end": "primary-interval-end"}
    roles |= {"occurred_from": roles["start"], "occurred_to": roles["end"]}
    roles["time"] = "primary-instant"
    if each.name == which.id_property:
        return {"x-ogc-role": "id"}
    return {"x-ogc-role": roles[each.name]} if each.name in roles else {}
