"""The interface of the layers as an OpenAPI 3.0 document, written by hand.

GDAL and QGIS read it: the parameter `limit` with its maximum, behind a literal path for each
collection's items.
"""

from typing import Any

from app.ogc.addresses import GEOJSON, JSON, OPENAPI, SCHEMA, Addresses
from app.ogc.collections import COLLECTIONS, Collection, Property
from app.ogc.crs import ALL, CRS84
from app.ogc.query import DEFAULT_LIMIT, LANGUAGES, MAX_LIMIT, MAX_OFFSET_DIGITS

_KIND = {"time": "string", "text": "string"}
_PROBLEMS = {"400": "BadInput", "401": "NoKey", "403": "WrongScope", "503": "DatabaseAway"}
_SAID = {
    "BadInput": "The request cannot be read; `detail` says why.",
    "NoKey": "No key, or one that is unknown or revoked.",
    "WrongScope": "The key may not read.",
    "NotFound": "There is no such thing.",
    "DatabaseAway": "The database is away; come back after `Retry-After` seconds.",
}
_ITEMS = (
    *("limit", "offset", "bbox", "bbox-crs", "datetime", "crs"),
    *("filter", "filter-lang", "filter-crs"),
)


def document(at: Addresses, version: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Focus Patrol layers",
            "version": version,
            "description": "OGC API - Features. A key travels as bearer token, as `X-API-Key`, as "
            "password of HTTP Basic, or as `api_key` in the address.",
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": at.base}],
        "security": [{"bearer": []}, {"header": []}, {"basic": []}, {"query": []}],
        "tags": [{"name": "About"}, *({"name": each} for each in COLLECTIONS)],
        "paths": _paths(),
        "components": {
            "parameters": _parameters(),
            "responses": _responses(),
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic"},
                "query": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths = {
        "/": _get("landing", "About", "Landing page", JSON, "Landing"),
        "/api": _get("api", "About", "This document", OPENAPI, "Any"),
        "/conformance": _get("conformance", "About", "Conformance", JSON, "Conformance"),
        "/collections": _get("collections", "About", "The layers", JSON, "Collections"),
    }
    for each in COLLECTIONS.values():
        paths |= _paths_of(each)
    return paths


def _paths_of(each: Collection) -> dict[str, Any]:
    path, title = f"/collections/{each.id}", each.title
    own = [_equal(known) for known in each.properties if known.queryable]
    referred = [{"$ref": f"#/components/parameters/{name}"} for name in _ITEMS]
    item = [{"$ref": f"#/components/parameters/{name}"} for name in ("featureId", "crs")]
    schema = f"Page_{each.id}"
    return {
        path: _get(f"{each.id}.about", each.id, title, JSON, "Collection"),
        f"{path}/items": _get(
            f"{each.id}.items", each.id, f"{title}: features", GEOJSON, schema, [*referred, *own]
        ),
        f"{path}/items/{{featureId}}": _get(
            f"{each.id}.item", each.id, f"{title}: one feature", GEOJSON,
            f"Feature_{each.id}", item, absent=True,
        ),
        f"{path}/queryables": _get(
            f"{each.id}.queryables", each.id, f"{title}: what filters may use", SCHEMA, "Any"
        ),
        f"{path}/schema": _get(
            f"{each.id}.schema", each.id, f"{title}: schema of features", SCHEMA, "Any"
        ),
    }  # fmt: skip


def _get(
    operation: str, tag: str, summary: str, kind: str, schema: str,
    parameters: list[dict[str, Any]] | None = None, *, absent: bool = False,
) -> dict[str, Any]:  # fmt: skip
    problems = _PROBLEMS | ({"404": "NotFound"} if absent else {})
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "get": {
            "operationId": operation,
            "tags": [tag],
            "summary": summary,
            "parameters": [*(parameters or []), {"$ref": "#/components/parameters/f"}],
            "responses": {
                "200": {"description": "As asked.", "content": content},
                **{
                    status: {"$ref": f"#/components/responses/{name}"}
                    for status, name in problems.items()
                },
            },
        }
    }


def _equal(known: Property) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _KIND.get(known.kind, known.kind)}
    if known.kind == "time":
        schema["format"] = "date-time"
    if known.words:
        schema["enum"] = list(known.words)
    return _query(known.name, schema, f"Only features that have exactly this: {known.title}")


def _query(name: str, schema: dict[str, Any], said: str, *, explode: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": said,
        "schema": schema,
        "style": "form",
        "explode": explode,
    }


def _parameters() -> dict[str, Any]:
    system = {"type": "string", "format": "uri", "enum": list(ALL), "default": CRS84}
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    offset = {"type": "integer", "minimum": 0, "maximum": 10**MAX_OFFSET_DIGITS - 1, "default": 0}
    box = {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}}
    lang = {"type": "string", "enum": list(LANGUAGES), "default": LANGUAGES[0]}
    found = [
        _query("limit", limit, "Most features of a page; more than the maximum is the maximum.",
               explode=False),
        _query("offset", offset, "Features to leave out before the page."),
        _query("bbox", box, "Features that meet this box: west, south, east, north; west is above "
               "east where it crosses the date line.", explode=False),
        _query("bbox-crs", system, "Reference system of bbox."),
        _query("datetime", {"type": "string"}, "An instant, a day, or an interval such as "
               "2026-11-20T07:00:00Z/.. ; features that hold at some time in it.", explode=False),
        _query("crs", system, "Reference system of the answer."),
        _query("filter", {"type": "string"}, "CQL2; see the queryables."),
        _query("filter-lang", lang, "Language of filter."),
        _query("filter-crs", system, "Reference system of geometries in filter."),
        _query("f", {"type": "string", "enum": ["json", "geojson"]}, "Format; there is one."),
    ]  # fmt: skip
    item = {"name": "featureId", "in": "path", "required": True, "schema": {"type": "string"}}
    return {each["name"]: each for each in found} | {"featureId": item}


def _responses() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {name: {"description": said, "content": content} for name, said in _SAID.items()}


def _schemas() -> dict[str, Any]:
    text, links = {"type": "string"}, _array({"$ref": _ref("Link")})
    found: dict[str, Any] = {
        "Any": {"type": "object"},
        "Link": _object({"href": text, "rel": text, "type": text, "title": text}, "href", "rel"),
        "Landing": _object({"title": text, "description": text, "links": links}, "links"),
        "Conformance": _object({"conformsTo": _array(text)}, "conformsTo"),
        "Collection": _object({"id": text, "title": text, "links": links}, "id", "links"),
        "Collections": _object(
            {"links": links, "collections": _array({"$ref": _ref("Collection")})},
            *("links", "collections"),
        ),
        "Problem": _object(
            {"type": text, "title": text, "status": {"type": "integer"}, "detail": text},
            *("type", "title", "status", "detail"),
        ),
    }  # fmt: skip
    for each in COLLECTIONS.values():
        found[f"Feature_{each.id}"] = _feature(each, links)
        found[f"Page_{each.id}"] = _page(each, links)
    return found


def _feature(each: Collection, links: dict[str, Any]) -> dict[str, Any]:
    members = {
        known.name: {
            "type": _KIND.get(known.kind, known.kind),
            "title": known.title,
            **({"format": "date-time"} if known.kind == "time" else {}),
            **({"nullable": True} if known.nullable else {}),
        }
        for known in each.properties
    }
    return _object(
        {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "string"},
            "geometry": {"type": "object", "nullable": True},
            "properties": _object(members, *members),
            "links": links,
        },
        *("type", "id", "geometry", "properties"),
    )


def _page(each: Collection, links: dict[str, Any]) -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    feature = {"$ref": _ref(f"Feature_{each.id}")}
    return _object(
        {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "timeStamp": {"type": "string", "format": "date-time"},
            "numberMatched": count,
            "numberReturned": count,
            "links": links,
            "features": _array(feature),
        },
        *("type", "features", "links"),
    )


def _object(members: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": members}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"
