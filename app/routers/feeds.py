"""Positions as forwarders and phones send them: other formats, the same facts.

Their senders repeat for ever, or give up, what is answered with anything but 2xx. So what cannot be
taken is set aside with a 200 and its reason: another try would not change it. Only what another try
may change, or what the key or the size forbids, is an error.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.aliases import Aliases
from app.deps import clock_of, needs
from app.errors import BadInput, TooLarge, WrongMedia
from app.guard import DirectRoute, TolerantRoute
from app.intake import Decoded, PingItem
from app.intake.body import inflated
from app.intake.formats import osmand, owntracks, traccar
from app.intake.formats.position import Unreadable
from app.intake.heard import Heard, decoded_positions
from app.intake.receipt import Receipt as Made
from app.problems import problems
from app.routers.intake import queued
from app.schemas import Receipt

log = structlog.get_logger()

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Receipt, "description": "On disk, a duplicate, or set aside for good."},
    **problems(400, 401, 403, 413, 415, 422, 429, 500, 503),
}
_JSON: dict[str, Any] = {"schema": {"type": "object"}}
_FORM: dict[str, Any] = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
_OSMAND_NAMES = (
    *("id", "deviceid", "timestamp", "lat", "lon", "location", "speed", "bearing", "heading"),
    *("accuracy", "hdop", "valid"),
)
_OSMAND_QUERY = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
    for name in _OSMAND_NAMES
]


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": False, "content": content}}


router = APIRouter(prefix="/v1/feeds", route_class=DirectRoute, tags=["feeds"])
tolerant = APIRouter(prefix="/v1/feeds", route_class=TolerantRoute, tags=["feeds"])


@router.post(
    "/traccar",
    summary="A position that Traccar forwards",
    dependencies=[needs("ingest")],
    responses=_ANSWERS,
    openapi_extra=_body({"application/json": _JSON}),
)
async def add_traccar(request: Request) -> Response:
    """Stores a position that Traccar forwards as JSON. Scope `ingest`."""
    receipt = await _take(request, "traccar", traccar.decode)
    return _json(receipt)


@tolerant.get(
    "/osmand",
    summary="A position in a query string",
    dependencies=[needs("ingest")],
    responses=_ANSWERS,
    openapi_extra={"parameters": _OSMAND_QUERY},
)
async def get_osmand(request: Request) -> Response:
    """Stores a position as OsmAnd and Traccar Client send it. Scope `ingest`.

    Parameters that are not known are let be here, unlike everywhere else.
    """
    return await add_osmand(request)


@tolerant.post(
    "/osmand",
    summary="A position in a query string, a form or JSON",
    dependencies=[needs("ingest")],
    responses=_ANSWERS,
    openapi_extra={
        "parameters": _OSMAND_QUERY,
        **_body({"application/json": _JSON, "application/x-www-form-urlencoded": _FORM}),
    },
)
async def add_osmand(request: Request) -> Response:
    """Stores a position as OsmAnd and Traccar Client send it. Scope `ingest`.

    Parameters that are not known are let be here, unlike everywhere else.
    """
    query, now_us = dict(request.query_params), clock_of(request)

    def decode(body: bytes) -> Heard:
        if body.startswith((b"{", b"[")):
            return osmand.decode_json(body)
        return osmand.decode(query | osmand.form_fields(body), now_us)

    receipt = await _take(request, "osmand", decode)
    return _json(receipt)


@router.post(
    "/owntracks",
    summary="A message of OwnTracks",
    dependencies=[needs("ingest")],
    responses={
        **_ANSWERS,
        200: {
            "description": "Always an empty array: there is nothing to tell the app.",
            "content": {"application/json": {"schema": {"type": "array", "maxItems": 0}}},
        },
    },
    openapi_extra=_body({"application/json": _JSON}),
)
async def add_owntracks(request: Request) -> Response:
    """Stores what is a `location`, and lets all other types be. Scope `ingest`."""
    await _take(request, "owntracks", owntracks.decode)
    return Response(b"[]", media_type="application/json")


async def _take(request: Request, source: str, decode: Callable[[bytes], Heard | None]) -> Made:
    """Has the message in a request stored, and logs why it was set aside if it was."""
    aliases: Aliases = request.app.state.aliases
    encoding = request.headers.get("content-encoding")

    def decoded(body: bytes) -> Decoded[PingItem]:
        heard = _heard(body, encoding, decode)
        return decoded_positions(heard, aliases.of(source) if heard else {})

    receipt = await queued(request, decoded)
    for error in receipt.errors:
        log.warning("set aside", source=source, code=error.code, field=error.field)
    return receipt


def _heard(
    body: bytes, encoding: str | None, decode: Callable[[bytes], Heard | None]
) -> list[Heard]:
    """What a body says: nothing, one position, or why it cannot be read.

    Raises TooLarge, and WrongMedia for an encoding that is not understood.
    """
    try:
        found = decode(inflated(body, encoding))
    except Unreadable as error:
        return [error.flaw]
    except (TooLarge, WrongMedia):
        raise
    except BadInput as error:  # gzip that is damaged stays so
        return [Unreadable("malformed", None, str(error)).flaw]
    return [] if found is None else [found]


def _json(receipt: Made) -> Response:
    return Response(msgspec.json.encode(receipt), media_type="application/json")
