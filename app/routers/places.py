"""Places that are no patrol: stations, garages, courts, hospitals."""

from fastapi import APIRouter
from starlette.responses import Response

from app.deps import DatabaseDep, needs
from app.errors import Invalid, NotFound
from app.geo import geojson
from app.guard import GuardedRoute
from app.problems import problems
from app.routers.districts import GEOJSON, answer, area_of
from app.schemas import Name, is_name
from app.shapes import PlaceFeature
from app.store import places as store

_FEATURE = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/PlaceFeature"}}}}
_COLLECTION = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/FeatureCollection"}}}}

router = APIRouter(
    prefix="/v1/places",
    route_class=GuardedRoute,
    tags=["places"],
    responses=problems(400, 401, 403, 500, 503),
)


@router.get(
    "",
    summary="All places that are no patrol",
    dependencies=[needs("view")],
    responses={200: {"description": "A FeatureCollection.", **_COLLECTION}},
)
def list_places(database: DatabaseDep) -> Response:
    """Every place whose time is kept apart from dosage, by id. Scope `view`."""
    with database.read() as connection:
        found = store.list_places(connection)
    return answer(geojson.collection([_feature(place) for place in found]))


@router.get(
    "/{id:path}",
    summary="One place",
    dependencies=[needs("view")],
    responses={200: {"description": "A Feature.", **_FEATURE}, **problems(404)},
)
def get_place(id: str, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """One place as a GeoJSON Feature. Scope `view`."""
    with database.read() as connection:
        # An id that cannot be is not looked for: PostgreSQL refuses some of its characters.
        place = store.get_place(connection, id) if is_name(id) else None
    if place is None:
        raise NotFound("there is no such place")
    return answer(_feature(place))


@router.put(
    "/{id:path}",
    summary="Set a place",
    dependencies=[needs("admin")],
    responses={
        200: {"description": "Replaced.", **_FEATURE},
        201: {"description": "Created.", **_FEATURE},
        **problems(404, 413, 415, 422),
    },
)
def put_place(id: Name, body: PlaceFeature, database: DatabaseDep) -> Response:  # noqa: A002  as above
    """Creates or replaces a place from a GeoJSON Feature. Scope `admin`.

    Dosage is then derived again, as far back as there are pings.
    """
    if body.id is not None and body.id != id:
        raise Invalid(f"the feature's id is {body.id!r}, but the address says {id!r}")
    properties = body.properties
    place = store.Place(id, properties.name, properties.kind, area_of(body.geometry))
    with database.write() as connection:
        created = store.put_place(connection, place)
    return answer(_feature(place), 201 if created else 200)


def _feature(place: store.Place) -> str:
    return geojson.feature(place.geometry, {"name": place.name, "kind": place.kind}, place.id)
