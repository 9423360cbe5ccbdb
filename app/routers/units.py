"""Units: where each was last heard, and where it has been."""

from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from app.deps import DatabaseDep, NowDep, SettingsDep, needs
from app.documents import unit_document
from app.errors import Invalid, NotFound
from app.geo import fixes, geojson
from app.guard import GuardedRoute
from app.instants import FIRST_US, LAST_US
from app.moments import texts_of
from app.problems import problems
from app.routers.districts import GEOJSON, answer
from app.schemas import Name, UnitSettings, UnitState, When, is_name
from app.shifts import HOUR_US
from app.store import pings, units

_FEATURE = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/Feature"}}}}

router = APIRouter(
    prefix="/v1/units",
    route_class=GuardedRoute,
    tags=["units"],
    responses=problems(400, 401, 403, 500, 503),
)


@router.get(
    "",
    summary="Last position of each unit",
    dependencies=[needs("view")],
    response_model=list[UnitState],
)
def list_units(database: DatabaseDep, settings: SettingsDep, now_us: NowDep) -> Response:
    """Every unit by call sign, with its last ping and how old that is. Scope `view`.

    A unit that was silent for too long is stale; then its status is unknown. One that stood when
    last heard may be silent for as long as its `idle_interval_s`, if that is declared.
    """
    with database.read() as connection:
        found = units.list_units(connection)
    states = [unit_document(unit, settings, now_us) for unit in found]
    return Response(msgspec.json.encode(states), media_type="application/json")


@router.put(
    "/{id}",
    summary="Register a unit",
    dependencies=[needs("admin")],
    response_model=UnitState,
    responses={
        200: {"description": "Changed."},
        201: {"description": "Registered.", "model": UnitState},
        **problems(413, 415, 422),
    },
)
def put_unit(
    id: Name,  # noqa: A002  the contract's word
    body: UnitSettings,
    database: DatabaseDep,
    settings: SettingsDep,
    now_us: NowDep,
) -> Response:
    """Registers a unit, or changes what is declared of it. Scope `admin`.

    Needed before the first ping only where units do not register themselves. A member left out is
    forgotten.
    """
    with database.write() as connection:
        unit, new = units.set_unit(connection, id, body.idle_interval_s)
    content = msgspec.json.encode(unit_document(unit, settings, now_us))
    return Response(content, 201 if new else 200, media_type="application/json")


@router.get(
    "/{id:path}/track",
    summary="Where a unit has been",
    dependencies=[needs("view")],
    responses={200: {"description": "A Feature.", **_FEATURE}, **problems(404, 422)},
)
def get_track(
    id: str,  # noqa: A002  the contract's word
    database: DatabaseDep,
    from_: Annotated[When | None, Query(alias="from")] = None,
    to: Annotated[When | None, Query()] = None,
    cleaned: Annotated[bool, Query(description="Leave out what cleaning sets aside.")] = False,
) -> Response:
    """A unit's stored pings in time order, `from` included and `to` not, as a line. Scope `view`.

    `properties.coordTimes` holds the instant of each position. Left out, the bounds are open.
    """
    if from_ is not None and to is not None and to < from_:
        raise Invalid("to: lies before from")
    begin, end = from_ if from_ is not None else FIRST_US, to if to is not None else LAST_US
    # Whether a ping is set aside depends on its neighbours, which may lie outside the bounds.
    around_us = HOUR_US if cleaned else 0
    with database.read() as connection:
        # An id that cannot be is not looked for: PostgreSQL refuses some of its characters.
        unit = units.find_unit(connection, id) if is_name(id) else None
        if unit is None:
            raise NotFound("a unit of that name was never heard of")
        mine = np.array([unit.unit])
        track = pings.read_pings(connection, mine, begin - around_us, end + around_us)
    if cleaned:
        track = track.take(fixes.set_aside(track, fixes.CleaningParameters()) == 0)
        track = track.take((track.time_us >= begin) & (track.time_us < end))
    properties = {"unit_id": id, "cleaned": cleaned, "coordTimes": texts_of(track.time_us)}
    return answer(geojson.feature(geojson.line(track.lat, track.lon), properties))
