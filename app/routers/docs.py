"""The API's documentation, served from what is installed: it needs no other host."""

from importlib import resources
from typing import Any

import fastapi_offline
import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.errors import NotFound
from app.guard import GuardedRoute
from app.intake.decode import IncidentItem, PingItem
from app.schemas import Feature, FeatureCollection, Problem

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
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
REFERENCE = "#/components/schemas/{model}"

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


def document_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: the framework's, with the schemas that our routes only point to."""
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas: dict[str, Any] = made["components"]["schemas"]
    for model in (Problem, Feature, FeatureCollection):
        schemas[model.__name__] = model.model_json_schema(ref_template=REFERENCE)
        schemas[model.__name__].pop("$defs", None)
    items = (PingItem, IncidentItem)
    schemas |= msgspec.json.schema_components(items, ref_template="#/components/schemas/{name}")[1]
    # Its own shape of errors, which the framework documents where no parameter can be wrong.
    for operation in (each for methods in made["paths"].values() for each in methods.values()):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return made
