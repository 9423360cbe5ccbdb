"""Dosage: what a plan's zones received so far, by whom, and what the cells of a district did."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from app import delivered, documents, patrolled
from app.deps import DatabaseDep, NowDep, SettingsDep, needs
from app.errors import Invalid
from app.geo import geojson, grid, visiting
from app.guard import GuardedRoute
from app.moments import text_of
from app.problems import problems
from app.routers.districts import GEOJSON, answer, known_district
from app.routers.plans import known_plan
from app.schemas import When
from app.shapes import DosageLayer, PlanDosage, Visit
from app.shifts import DAY_US, SECOND_US
from app.store import units

Duty = Literal["patrol", "all", "unknown", "unallocated", "committed", "off_duty", "place"]
State = Literal["patrol", "all", "stationary", "slow", "transit"]

_FEATURES = {"content": {GEOJSON: {"schema": {"$ref": "#/components/schemas/FeatureCollection"}}}}

router = APIRouter(
    prefix="/v1",
    route_class=GuardedRoute,
    tags=["dosage"],
    responses=problems(400, 401, 403, 404, 500, 503),
)


@router.get(
    "/plans/{id}/dosage",
    summary="What a plan's zones have received",
    dependencies=[needs("view")],
    response_model=PlanDosage,
)
def get_dosage(
    id: str,  # noqa: A002  the contract's word
    database: DatabaseDep,
    settings: SettingsDep,
    now_us: NowDep,
) -> Response:
    """Seconds of patrol in each zone since the shift began, from the pings of now. Scope `view`.

    Where no unit was heard for too long the status is `unknown`, never nothing.
    """
    with database.read() as connection:
        plan = known_plan(connection, id)
    dosage = delivered.plan_dosage(database, settings, plan, now_us)
    return _json(documents.dosage_document(dosage))


@router.get(
    "/plans/{id}/visits",
    summary="Visits to a plan's zones",
    dependencies=[needs("view")],
    response_model=list[Visit],
)
def get_visits(
    id: str,  # noqa: A002  the contract's word
    database: DatabaseDep,
    settings: SettingsDep,
    now_us: NowDep,
) -> Response:
    """Who was in which zone, from when to when, by zone and time. Scope `view`.

    Absences up to 120 s are part of a visit. `koper` says whether it lasted 10 to 16 minutes; it is
    null, with the reason, where the pings were too far apart to tell.
    """
    with database.read() as connection:
        plan = known_plan(connection, id)
        names = {unit.unit: unit.unit_id for unit in units.list_units(connection)}
    visits = delivered.plan_dosage(database, settings, plan, now_us).visits
    lengths, judged = visiting.lengths_of(visits).tolist(), visiting.koper(visits)
    columns = (visits.zone, visits.unit, visits.start_us, visits.end_us, visits.inside_us)
    rows = zip(*(c.tolist() for c in columns), visits.gap_us.tolist(), lengths, judged, strict=True)
    return _json(
        [
            {
                "zone": plan.zones[zone].id,
                "unit_id": names[unit],
                "start": text_of(start_us),
                "end": text_of(end_us),
                "inside_s": inside_us / SECOND_US,
                "length_min": visiting.LENGTHS[length],
                "koper": right,
                "refused": None if right is not None else visiting.refusal(gap_us),
            }
            for zone, unit, start_us, end_us, inside_us, gap_us, length, right in rows
        ]
    )


@router.get(
    "/districts/{id:path}/dosage",
    summary="Dosage of a district's cells",
    dependencies=[needs("view")],
    response_model=DosageLayer,
    responses={200: {"description": "The cells with any dosage.", **_FEATURES}, **problems(422)},
)
def get_layer(
    id: str,  # noqa: A002  the contract's word
    database: DatabaseDep,
    settings: SettingsDep,
    now_us: NowDep,
    from_: Annotated[When | None, Query(alias="from", description="A day before `to`.")] = None,
    to: Annotated[When | None, Query(description="Now, where left out.")] = None,
    resolution: Annotated[int | None, Query(ge=5, le=12, description="Of H3.")] = None,
    duty: Annotated[Duty, Query(description="`patrol`: all but off_duty and place.")] = "patrol",
    state: Annotated[State, Query(description="`patrol`: all but transit.")] = "patrol",
    f: Annotated[
        Literal["json", "geojson"], Query(description="As a list or as features.")
    ] = "json",
) -> Response:
    """Seconds per cell of all units together, and with at least one of them. Scope `view`.

    `from` is included and `to` is not. Cells without any are left out.
    """
    until_us = now_us if to is None else to
    from_us = until_us - DAY_US if from_ is None else from_
    if until_us <= from_us:
        raise Invalid("to: must lie after from")
    if resolution is not None and resolution > settings.resolution:
        raise Invalid(f"resolution: at most {settings.resolution} is kept here")
    district = known_district(database, id)
    asked = patrolled.Request(
        from_us, until_us, resolution or settings.plan_resolution, duty, state
    )
    found = patrolled.layer(database, settings, district, asked, now_us)
    cells = _cells(found)
    head = {
        "district": district.id,
        "from": text_of(from_us),
        "to": text_of(until_us),
        "resolution": asked.resolution,
        "duty": duty,
        "state": state,
        "as_of": text_of(min(now_us, until_us)),
        "last_ping": None if found.last_us is None else text_of(found.last_us),
        "basis": found.basis,
        "observed_s": found.observed_s,
        "unobserved_s": found.unobserved_s,
        "notes": list(found.notes),
    }
    if f == "json":
        return _json({**head, "cells": cells})
    names = [cell["cell"] for cell in cells]
    shapes = geojson.features(geojson.hexagons(found.cell), names, cells)
    return answer(geojson.collection(shapes, **head))


def _cells(found: patrolled.Layer) -> list[dict[str, Any]]:
    columns: list[list[Any]] = [list(grid.to_text(found.cell))]
    names = ("unit_s", "low_s", "high_s", "presence_s")
    for name in names:
        values = getattr(found, name)
        columns.append([None] * len(found.cell) if values is None else values.round(6).tolist())
    return [dict(zip(("cell", *names), row, strict=True)) for row in zip(*columns, strict=True)]


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
