"""The routes under /ogc: key first, then the address, then the ETag, then the database."""

import hashlib
import importlib.metadata
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import deps
from app.deps import authorize
from app.errors import NotFound
from app.moments import text_of
from app.ogc import documents, openapi
from app.ogc.addresses import GEOJSON, JSON, OPENAPI, ROOT, SCHEMA, Addresses, base_of
from app.ogc.collections import COLLECTIONS, Collection
from app.ogc.layers import Layers
from app.ogc.query import MAX_LIMIT, Query, crs_of, parameters_of, query_of
from app.shifts import SECOND_US

VERSION = importlib.metadata.version("focus-patrol")
NOTHING: frozenset[str] = frozenset()
VARY = "Authorization, X-API-Key"  # compression adds its own

Answer = Callable[[Request], Awaitable[Response]]
router = APIRouter()


def layers_of(request: Request) -> Layers:
    """The layers of the application, made with the first request."""
    state = request.app.state
    if not hasattr(state, "layers"):
        state.layers = Layers(state.database, state.settings)
    found: Layers = state.layers
    return found


def route(*paths: str) -> Callable[[Answer], Answer]:
    """Serves an answer at these paths, to whoever has a key that may read."""

    def added(answer: Answer) -> Answer:
        async def guarded(request: Request) -> Response:
            await authorize(request, "view")
            return await answer(request)

        for path in paths:
            router.add_route(ROOT + path, guarded, methods=["GET"], include_in_schema=False)
        return answer

    return added


@route("", "/")
async def landing(request: Request) -> Response:
    """The landing page."""
    return _json(documents.landing(_plain(request)))


@route("/conformance")
async def conformance(request: Request) -> Response:
    """What the interface conforms to."""
    return _json(documents.conformance(_plain(request)))


@route("/api")
async def api(request: Request) -> Response:
    """The OpenAPI document."""
    return _json(openapi.document(_plain(request), VERSION), OPENAPI)


@route("/collections")
async def collections(request: Request) -> Response:
    """All collections."""
    at, layers, now_us = _plain(request), layers_of(request), _now_us(request)
    extents = {
        each.id: await to_thread.run_sync(layers.extent, each, now_us)
        for each in COLLECTIONS.values()
    }
    return _json(documents.collections(at, extents))


@route("/collections/{collection}")
async def collection(request: Request) -> Response:
    """One collection."""
    at, which = _plain(request), _known(request)
    extent = await to_thread.run_sync(layers_of(request).extent, which, _now_us(request))
    return _json(documents.collection(at, which, extent))


@route("/collections/{collection}/schema")
async def schema(request: Request) -> Response:
    """The schema of a collection's features."""
    at = _plain(request)
    return _json(documents.schema(at, _known(request)), SCHEMA)


@route("/collections/{collection}/queryables")
async def queryables(request: Request) -> Response:
    """What filters on a collection may use."""
    at = _plain(request)
    return _json(documents.queryables(at, _known(request)), SCHEMA)


@route("/collections/{collection}/items")
async def items(request: Request) -> Response:
    """A page of a collection's features."""
    which, layers = _known(request), layers_of(request)
    asked = request.scope["query_string"]
    query, pairs = _query(asked, which.id)
    at = _at(request)
    version = await layers.version(which)
    if version is not None and _has(request, etag := _etag(which.id, version, at, asked)):
        return Response(status_code=304, headers=_headers(which, query, etag))
    now_us = _now_us(request)
    page = await to_thread.run_sync(layers.page, which, query, now_us)
    head = documents.features_head(at, which, query, pairs, page.matched, page.returned)
    stamped = {"timeStamp": text_of(now_us - now_us % SECOND_US), **head}
    rest = msgspec.json.encode(stamped)[1:-1]
    body = b'{"type":"FeatureCollection",%b,"features":[%b]}' % (rest, page.text)
    if page.version is None:
        etag = _digest(page.text, str(page.matched).encode(), at.base.encode(), asked)
    else:
        etag = _etag(which.id, page.version, at, asked)
    if page.version is None and _has(request, etag):
        return Response(status_code=304, headers=_headers(which, query, etag))
    return Response(body, media_type=GEOJSON, headers=_headers(which, query, etag))


@route("/collections/{collection}/items/{id:path}")
async def item(request: Request) -> Response:
    """One feature."""
    which, id = _known(request), request.path_params["id"]  # noqa: A001  the format's word
    crs = crs_of(request.scope["query_string"])
    pairs = _pairs(request.scope["query_string"])
    text = await to_thread.run_sync(layers_of(request).feature, which, id, crs, _now_us(request))
    if not text:
        raise NotFound("this collection has no such feature")
    links = msgspec.json.encode(documents.feature_links(_at(request), which, id, pairs))
    body = b'%b,"links":%b}' % (text[:-1], links)
    etag = _digest(body)
    headers = _headers(which, Query(crs=crs), etag)
    if _has(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=GEOJSON, headers=headers)


def _plain(request: Request) -> Addresses:
    """The addresses for a document that takes no parameters. Raises BadInput for any."""
    parameters_of(request.scope["query_string"], NOTHING)
    return _at(request)


def _at(request: Request) -> Addresses:
    base = base_of(request.scope, request.app.state.settings.public_url)
    return Addresses(base, request.query_params.get("api_key"))


def _known(request: Request) -> Collection:
    found = COLLECTIONS.get(request.path_params["collection"])
    if found is None:
        raise NotFound(f"there is no such collection; there is {', '.join(COLLECTIONS)}")
    return found


@lru_cache(maxsize=1024)
def _query(asked: bytes, collection: str) -> tuple[Query, dict[str, str]]:
    """The request that an address makes, and its parameters as links carry them on."""
    query, pairs = query_of(asked, COLLECTIONS[collection]), _pairs(asked)
    if "limit" in pairs:
        pairs["limit"] = str(min(query.limit, MAX_LIMIT))
    return query, pairs


def _pairs(asked: bytes) -> dict[str, str]:
    pairs = dict(parse_qsl(asked.decode("ascii"), keep_blank_values=True))
    return {name: value for name, value in pairs.items() if name not in ("api_key", "token")}


def _now_us(request: Request) -> int:
    """The clock, or the one that stands in its place in tests."""
    now: Callable[[], int] = request.app.dependency_overrides.get(deps.now_us, deps.now_us)
    return now()


@lru_cache(maxsize=4096)
def _etag(collection: str, version: int, at: Addresses, asked: bytes) -> str:
    """Names a version of what is at an address; another address is another thing."""
    return f'"{collection}-{version}-{_digest(at.base.encode(), asked)[1:17]}"'


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return f'"{digest[:32]}"'


def _has(request: Request, etag: str) -> bool:
    """Whether the client says that it has this already."""
    said = request.headers.get("if-none-match")
    if not said:
        return False
    return etag in (each.strip().removeprefix("W/") for each in said.split(","))


def _headers(which: Collection, query: Query, etag: str) -> dict[str, str]:
    return {
        "ETag": etag,
        "Content-Crs": f"<{query.crs}>",
        # Positions of patrol cars belong in no cache; the rest may be kept, and asked about.
        "Cache-Control": "no-store" if which.id == "units" else "private, no-cache",
        "Vary": VARY,
    }


def _json(document: dict[str, Any], kind: str = JSON) -> Response:
    return Response(msgspec.json.encode(document), headers={"Content-Type": kind, "Vary": VARY})
