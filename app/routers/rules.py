"""Rules of how long a zone may be without a unit, and the alerts that they raise."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from app import documents
from app.deps import DatabaseDep, NowDep, needs
from app.errors import Invalid, NotFound
from app.guard import GuardedRoute
from app.problems import problems
from app.routers.districts import known_district
from app.schemas import Name, When, is_name
from app.shapes import Alert, Rule, RuleBody
from app.store import rules as store

MOST_ALERTS = 1000

router = APIRouter(
    prefix="/v1",
    route_class=GuardedRoute,
    tags=["rules"],
    responses=problems(400, 401, 403, 500, 503),
)


@router.get("/rules", summary="All rules", dependencies=[needs("view")], response_model=list[Rule])
def list_rules(database: DatabaseDep) -> Response:
    """Every rule by id. Scope `view`."""
    with database.read() as connection:
        found = store.list_rules(connection)
    return _json([_document(rule) for rule in found])


@router.get(
    "/rules/{id:path}",
    summary="One rule",
    dependencies=[needs("view")],
    response_model=Rule,
    responses=problems(404),
)
def get_rule(id: str, database: DatabaseDep) -> Response:  # noqa: A002  the contract's word
    """One rule. Scope `view`."""
    with database.read() as connection:
        # An id that cannot be is not looked for: PostgreSQL refuses some of its characters.
        rule = store.get_rule(connection, id) if is_name(id) else None
    if rule is None:
        raise NotFound("there is no such rule")
    return _json(_document(rule))


@router.put(
    "/rules/{id:path}",
    summary="Set a rule",
    dependencies=[needs("plan")],
    response_model=Rule,
    responses={
        201: {"description": "Created.", "model": Rule},
        **problems(404, 413, 415, 422),
    },
)
def put_rule(id: Name, body: RuleBody, database: DatabaseDep, now_us: NowDep) -> Response:  # noqa: A002  as above
    """Creates or replaces a rule; an alert of the one before is closed. Scope `plan`."""
    if not is_name(body.district):
        raise Invalid("district: there is no such district")
    try:
        known_district(database, body.district)
    except NotFound as error:
        raise Invalid("district: there is no such district") from error
    rule = store.Rule(
        id, body.name, body.district, tuple(body.cells), body.begins, body.ends, body.idle_s
    )
    with database.write() as connection:
        created = store.put_rule(connection, rule, now_us)
    return _json(_document(rule), 201 if created else 200)


@router.delete(
    "/rules/{id:path}",
    summary="End a rule",
    status_code=204,
    dependencies=[needs("plan")],
    responses=problems(404),
)
def delete_rule(id: str, database: DatabaseDep, now_us: NowDep) -> Response:  # noqa: A002  as above
    """Ends a rule; its alerts stay, closed. Scope `plan`."""
    with database.write() as connection:
        if not is_name(id) or not store.delete_rule(connection, id, now_us):
            raise NotFound("there is no such rule")
    return Response(status_code=204)


@router.get(
    "/alerts",
    summary="Alerts, newest first",
    dependencies=[needs("view")],
    response_model=list[Alert],
    responses=problems(422),
)
def list_alerts(
    database: DatabaseDep,
    from_: Annotated[When | None, Query(alias="from")] = None,
    to: Annotated[When | None, Query()] = None,
    only_open: Annotated[bool, Query(alias="open", description="Only those still open.")] = False,
) -> Response:
    """Alerts that were open at some time between `from` and `to`. Scope `view`. At most 1,000."""
    with database.read() as connection:
        found = store.list_alerts(connection, from_, to, only_open=only_open, limit=MOST_ALERTS)
    return _json([documents.alert_document(alert) for alert in found])


def _document(rule: store.Rule) -> dict[str, object]:
    members = {name: getattr(rule, name) for name in store.Rule.__dataclass_fields__}
    return members | {"cells": list(rule.cells)}


def _json(document: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
