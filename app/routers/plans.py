"""Plans: which zones deserve focus patrol in a shift, and why."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import Response

from app import planning
from app.deps import DatabaseDep, NowDep, SettingsDep, needs
from app.documents import plan_document
from app.errors import NotFound
from app.geo import geojson, grid
from app.guard import GuardedRoute
from app.problems import problems
from app.routers.districts import GEOJSON, answer, known_district
from app.schemas import Cell, DayOrMoment, Name, Plan, PlanRequest, is_name
from app.shifts import Shifts, instances
from app.store import plans as store

FIGURES = ("expected_incidents", "expected_harm", "dosage_s", "residual_s", "priority")
MOST_PLANS = 1000

_FEATURES = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/FeatureCollection"}}}}

router = APIRouter(
    prefix="/v1/plans",
    route_class=GuardedRoute,
    tags=["plans"],
    responses=problems(400, 401, 403, 500, 503),
)


@router.post(
    "",
    summary="Plan a shift",
    status_code=201,
    response_model=Plan,
    dependencies=[needs("plan")],
    responses=problems(404, 413, 415, 422),
)
def add_plan(
    body: PlanRequest, database: DatabaseDep, settings: SettingsDep, now_us: NowDep
) -> Response:
    """Makes and stores a plan from what was known before the shift began. Scope `plan`.

    With `as_of` inside the shift: from what was known before that. The same request on the same
    facts gives the same plan, but for its id.
    """
    request = planning.Request(body.district, body.shift, body.date, body.unit_hours, body.as_of)
    plan = planning.plan_shift(database, settings, request, now_us)
    made = _json(plan_document(plan), 201)
    made.headers["Location"] = f"/v1/plans/{plan.id}"
    return made


@router.get(
    "",
    summary="Plans, newest first",
    response_model=list[Plan],
    dependencies=[needs("view")],
    responses=problems(404, 422),
)
def list_plans(
    database: DatabaseDep,
    district: Annotated[Name | None, Query(description="Of this district alone.")] = None,
    from_: Annotated[DayOrMoment | None, Query(alias="from")] = None,
    to: Annotated[DayOrMoment | None, Query()] = None,
    status: Annotated[Name | None, Query(description="In this status alone.")] = None,
) -> Response:
    """Plans whose shift has a part between `from` and `to`, newest shift first. Scope `view`.

    Days count from their first to their last moment, in the district's time zone where one is
    given, else in UTC. At most 1,000.
    """
    timezone = known_district(database, district).timezone if district is not None else "UTC"
    begin, end = _from_us(from_, timezone), _to_us(to, timezone)
    with database.read() as connection:
        found = store.list_plans(connection, district, begin, end, status, MOST_PLANS)
    return _json([plan_document(plan) for plan in found])


@router.get(
    "/{id}",
    summary="One plan",
    response_model=Plan,
    dependencies=[needs("view")],
    responses=problems(404),
)
def get_plan(id: str, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """A plan with its zones and everything it depends on. Scope `view`."""
    with database.read() as connection:
        return _json(plan_document(known_plan(connection, id)))


@router.get(
    "/{id}/zones",
    summary="A plan's zones",
    dependencies=[needs("view")],
    responses={200: {"description": "A FeatureCollection.", **_FEATURES}, **problems(404)},
)
def get_zones(id: str, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """The zones as GeoJSON; a feature's properties are the zone's members. Scope `view`."""
    with database.read() as connection:
        plan = known_plan(connection, id)
    return answer(planning.zones_geojson(plan))


@router.get(
    "/{id}/cells",
    summary="Every cell of a plan",
    response_model=list[Cell],
    dependencies=[needs("view")],
    responses={
        200: {"description": "Every cell of the district.", **_FEATURES},
        **problems(404, 422),
    },
)
def get_cells(
    id: str,  # noqa: A002  the contract's word
    database: DatabaseDep,
    f: Annotated[
        Literal["json", "geojson"], Query(description="As a list or as features.")
    ] = "json",
) -> Response:
    """The figures of every cell whose centre lies in the district. Scope `view`."""
    with database.read() as connection:
        known_plan(connection, id)
        cells = store.cells_of(connection, id)
    names = grid.to_text(cells.cell)
    columns = [getattr(cells, name).tolist() for name in FIGURES]
    members = [
        {"cell": name, **dict(zip(FIGURES, row, strict=True))}
        for name, *row in zip(names, *columns, strict=True)
    ]
    if f == "json":
        return _json(members)
    return answer(
        geojson.collection(geojson.features(geojson.hexagons(cells.cell), names, members))
    )


def known_plan(connection: Connection, id: str) -> store.Plan:  # noqa: A002  the contract's word
    """The plan of that id. Raises NotFound."""
    # An id that cannot be is not looked for: PostgreSQL refuses some of its characters.
    plan = store.get_plan(connection, id) if is_name(id) else None
    if plan is None:
        raise NotFound("there is no such plan")
    return plan


def _from_us(bound: date | int | None, timezone: str) -> int | None:
    """The instant from which a bound counts: of a day, its beginning."""
    return int(_day(bound, timezone).start_us[0]) if isinstance(bound, date) else bound


def _to_us(bound: date | int | None, timezone: str) -> int | None:
    """The instant to which a bound counts: of a day, its end."""
    return int(_day(bound, timezone).end_us[0]) if isinstance(bound, date) else bound


def _day(day: date, timezone: str) -> Shifts:
    return instances({"day": "00:00"}, timezone, day, day)


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
