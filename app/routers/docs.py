"""The API's documentation, served from what is installed: it needs no other host."""

from importlib import resources

import fastapi_offline
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.errors import NotFound
from app.guard import GuardedRoute

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Focus Patrol API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
MEDIA = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
DAY_S = 86_400

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return HTMLResponse(PAGE)


@router.get("/docs/{name}")
def asset(name: str) -> Response:
    """A file of the page."""
    if name == "start.js":
        return Response(START, media_type="text/javascript")
    if name not in MEDIA:
        raise NotFound("the documentation has no such file")
    content = (resources.files(fastapi_offline) / "static" / name).read_bytes()
    cached = {"Cache-Control": f"public, max-age={DAY_S}"}
    return Response(content, media_type=MEDIA[name], headers=cached)


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())
