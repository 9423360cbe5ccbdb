"""Whether the service lives, and whether it can work."""

from typing import Any

from fastapi import APIRouter

from app.deps import DatabaseDep
from app.errors import DatabaseAway
from app.guard import GuardedRoute
from app.migrate import is_newest
from app.problems import problems

router = APIRouter(route_class=GuardedRoute, tags=["health"], responses=problems(400, 500))


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> dict[str, Any]:
    """Answers as long as the process does, whatever becomes of the database."""
    return {"status": "alive"}


@router.get("/readyz", summary="Whether requests can be served", responses=problems(503))
def readyz(database: DatabaseDep) -> dict[str, Any]:
    """Ready: the database answers and its schema is the newest."""
    with database.read() as connection:
        if not is_newest(connection):
            raise DatabaseAway("the schema is not the newest; run focus-patrol migrate")
    return {"status": "ready"}
