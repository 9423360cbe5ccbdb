"""Areas of responsibility: what they are, where, and when their shifts begin."""

import json

import numpy as np
import shapely
from fastapi import APIRouter
from starlette.responses import Response

from app.db import Database
from app.deps import DatabaseDep, needs
from app.errors import Invalid, NotFound
from app.geo import geojson
from app.guard import GuardedRoute
from app.problems import problems
from app.schemas import Area, DistrictFeature, Name, is_name
from app.store import districts as store

GEOJSON = "application/geo+json"

_FEATURE = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/DistrictFeature"}}}}
_COLLECTION = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/FeatureCollection"}}}}

router = APIRouter(
    prefix="/v1/districts",
    route_class=GuardedRoute,
    tags=["districts"],
    responses=problems(400, 401, 403, 500, 503),
)


@router.get(
    "",
    summary="All districts",
    dependencies=[needs("view")],
    responses={200: {"description": "A FeatureCollection.", **_COLLECTION}},
)
def list_districts(database: DatabaseDep) -> Response:
    """Every district with its area, time zone, shifts and parent, by id. Scope `view`."""
    with database.read() as connection:
        found = store.list_districts(connection)
    return answer(geojson.collection([_feature(district) for district in found]))


@router.get(
    "/{id:path}",
    summary="One district",
    dependencies=[needs("view")],
    responses={200: {"description": "A Feature.", **_FEATURE}, **problems(404)},
)
def get_district(id: str, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """One district as a GeoJSON Feature. Scope `view`."""
    return answer(_feature(known_district(database, id)))


@router.put(
    "/{id:path}",
    summary="Set a district",
    dependencies=[needs("admin")],
    responses={
        200: {"description": "Replaced.", **_FEATURE},
        201: {"description": "Created.", **_FEATURE},
        **problems(404, 413, 415, 422),
    },
)
def put_district(id: Name, body: DistrictFeature, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """Creates or replaces a district from a GeoJSON Feature. Scope `admin`."""
    if body.id is not None and body.id != id:
        raise Invalid(f"the feature's id is {body.id!r}, but the address says {id!r}")
    district = store.District(id=id, geometry=area_of(body.geometry), **dict(body.properties))
    with database.write() as connection:
        created = store.put_district(connection, district)
    return answer(_feature(district), 201 if created else 200)


def known_district(database: Database, id: str) -> store.District:  # noqa: A002  the contract's word
    """The district of that id. Raises NotFound."""
    with database.read() as connection:
        # An id that cannot be is not looked for: PostgreSQL refuses some of its characters.
        district = store.get_district(connection, id) if is_name(id) else None
    if district is None:
        raise NotFound("there is no such district")
    return district


def area_of(area: Area) -> shapely.MultiPolygon:
    """The area as valid polygons in WGS 84. Raises Invalid for what encloses nothing."""
    try:
        drawn = shapely.force_2d(shapely.from_geojson(json.dumps(area.model_dump())))
    except (shapely.errors.GEOSException, ValueError, RecursionError) as error:
        said = str(error).partition(":")[2].strip() or str(error)
        raise Invalid(f"geometry: cannot be read as a {area.type}: {said}") from error
    west, south, east, north = shapely.bounds(drawn)
    if not np.isfinite([west, south, east, north]).all():
        raise Invalid("geometry: is empty")
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise Invalid("geometry: longitude is within ±180 and comes first, latitude within ±90")
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(drawn)))
    polygons = [part for part in parts if part.geom_type == "Polygon" and part.area > 0]
    if not polygons:
        raise Invalid("geometry: encloses nothing")
    return shapely.MultiPolygon(polygons)


def answer(text: str, status: int = 200) -> Response:
    """A GeoJSON document."""
    return Response(text, status, media_type=GEOJSON)


def _feature(district: store.District) -> str:
    properties = {
        "name": district.name,
        "timezone": district.timezone,
        "shifts": dict(district.shifts),
        "parent": district.parent,
        "unit_hours": district.unit_hours,
    }
    return geojson.feature(district.geometry, properties, district.id)
