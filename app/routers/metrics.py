"""Figures for Prometheus: what came in, how long it took, what is left to do."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.deps import DatabaseDep, NowDep, SettingsDep, needs
from app.errors import DatabaseAway
from app.guard import GuardedRoute
from app.metrics import MEDIA_TYPE, Metrics
from app.problems import problems
from app.shifts import SECOND_US
from app.store.freshness import backlog


class _Text(Response):
    media_type = MEDIA_TYPE


def router_of(open_metrics: bool) -> APIRouter:
    """The route, for keys with scope `view` or for everybody."""
    router = APIRouter(route_class=GuardedRoute, tags=["health"])
    router.add_api_route(
        "/metrics",
        _metrics,
        summary="Figures for Prometheus",
        dependencies=[] if open_metrics else [needs("view")],
        response_class=_Text,
        responses=problems(400, 500) if open_metrics else problems(400, 401, 403, 500, 503),
    )
    return router


def _metrics(
    request: Request, database: DatabaseDep, settings: SettingsDep, now_us: NowDep
) -> Response:
    """Counts since the start of this process, and the backlog as it is now."""
    metrics: Metrics = request.app.state.metrics
    try:
        with database.read() as connection:
            found = backlog(connection, now_us - settings.stale_s * SECOND_US)
    except DatabaseAway:
        metrics.database_up.set(0)
    else:
        metrics.database_up.set(1)
        metrics.dirty_hours.set(found.dirty_hours)
        metrics.units.set(found.units)
        metrics.units_stale.set(found.stale)
    return _Text(metrics.text())
