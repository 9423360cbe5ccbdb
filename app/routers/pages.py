"""What stands open to everybody: the front page, and what the service does and knows."""

import html
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.db import Database
from app.deps import DatabaseDep, NowDep, SettingsDep
from app.errors import DatabaseAway
from app.guard import GuardedRoute
from app.moments import text_of
from app.problems import problems
from app.settings import Settings
from app.shifts import SECOND_US
from app.store.freshness import freshness

STATEMENTS = {
    "does": [
        "Suggests to patrol cars small zones in which their unallocated time prevents most harm.",
        "Counts how long patrol cars were in each cell of a hexagonal grid, and lowers the "
        "priority of places that have just been served.",
        "Says for each zone why it was chosen, and keeps every value that a plan depends on, so "
        "that any plan can be computed again.",
    ],
    "knows": [
        "Recorded incidents: place, time and category. No names, no suspects, no victims.",
        "Positions of patrol cars by call sign, never of persons.",
        "Borders of districts and the beginnings of shifts.",
    ],
    "estimates": [
        "The expected incidents and expected harm of each cell in a shift, from incidents alone: "
        "recent ones and those of the same shift of day weigh more. Incidents that officers "
        "brought about themselves are left out, so that patrol does not confirm itself.",
        "It is a statement about places and hours; what is not reported is not seen.",
    ],
    "never": [
        "To say anything about a person, or to make a person in a zone a suspect: a zone is no "
        "ground for a stop, a search or an arrest.",
        "To measure or discipline officers.",
        "To replace the judgement of those who command a shift.",
    ],
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Focus Patrol: transparency</title>
<style>
:root {{ color-scheme: light dark }}
body {{ max-width: 42rem; margin: 3rem auto; padding: 0 1.25rem }}
body {{ font: 16px/1.6 system-ui, sans-serif }}
</style>
<h1>What this service does and knows</h1>
{body}
</html>
"""
KEPT_US = 60 * SECOND_US  # so that an open page cannot be used to keep the database busy
TITLES = {
    "does": "What it does",
    "knows": "What it knows",
    "estimates": "How it estimates risk",
    "never": "What it must not be used for",
    "data": "The data now",
}

router = APIRouter(route_class=GuardedRoute, tags=["open"], responses=problems(400, 500))


@router.get("/", include_in_schema=False)
def front() -> Response:
    """The page that links to what there is."""
    page = resources.files("app") / "static" / "index.html"
    return HTMLResponse(page.read_text(encoding="utf-8"))


@router.get(
    "/transparency",
    summary="What the service does and knows",
    responses={
        200: {
            "description": "A page for browsers, otherwise JSON.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/html": {"schema": {"type": "string"}},
            },
        }
    },
)
def transparency(
    request: Request, database: DatabaseDep, settings: SettingsDep, now_us: NowDep
) -> Response:
    """What it does, knows, estimates and must never be used for; as a page for browsers."""
    state = request.app.state
    until_us, data = getattr(state, "freshness", (0, None))
    if data is None or now_us >= until_us:
        data = _data(database, settings)
        state.freshness = (now_us + KEPT_US, data)
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(data))
    return JSONResponse(STATEMENTS | {"data": data})


def _data(database: Database, settings: Settings) -> dict[str, Any] | None:
    """Counts and times of what is stored, no places; None while the database is away."""
    try:
        with database.read() as connection:
            found = freshness(connection)
    except DatabaseAway:
        return None
    counts = {
        name.replace("_us", ""): text_of(value) if name.endswith("_us") and value else value
        for name, value in vars(found).items()
    }
    return counts | {"raw_pings_kept_days": settings.retention_days or "all"}


def _page(data: dict[str, Any] | None) -> str:
    """The statements and the data as a page of HTML."""
    known = [f"{name.replace('_', ' ')}: {value}" for name, value in (data or {}).items()]
    sections = STATEMENTS | {"data": known or ["not to be had at the moment"]}
    body = "".join(
        f"<h2>{TITLES[name]}</h2><ul>{''.join(f'<li>{html.escape(t)}</li>' for t in texts)}</ul>"
        for name, texts in sections.items()
    )
    return PAGE.format(body=body)
