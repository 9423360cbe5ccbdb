"""Batches of pings and incidents in; a receipt out once they are on disk."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio
import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import intake
from app.deps import DatabaseDep, NowDep, SettingsDep, needs
from app.errors import TooBusy
from app.guard import MAX_BODY_BYTES, GuardedRoute, check_media, chunks_of
from app.problems import problem, problems
from app.schemas import Receipt

# Boxes in cars often send no media type at all; what they send is JSON.
MEDIA_TYPES = frozenset({"application/json", "application/x-ndjson", "application/ndjson", ""})
ENCODINGS = frozenset({"gzip", "x-gzip"})
AT_ONCE = 8  # batches that are worked on; more would only wait for the database together
WAITING_BYTES = 8 * MAX_BODY_BYTES  # of bodies in memory at any time
WAIT_S = 3.0  # for a turn; with the database's own 5 s a caller knows within 10 s

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Receipt, "description": "All accepted or duplicate, and on disk."},
    207: {"model": Receipt, "description": "Some rejected; the others are on disk."},
    **problems(400, 401, 403, 413, 415, 422, 429, 500, 503),
}


def _body(item: str) -> dict[str, Any]:
    """What a call may carry, for the OpenAPI document."""
    one = {"$ref": f"#/components/schemas/{item}"}
    several = {"type": "array", "items": one, "maxItems": intake.MAX_ITEMS}
    return {
        "requestBody": {
            "description": "A JSON array, one object, or NDJSON; at most 16 MiB inflated.",
            "required": True,
            "content": {
                "application/json": {"schema": {"anyOf": [several, one]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        }
    }


router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["intake"], responses=_ANSWERS)


class Gate:
    """How much is taken in at once; beyond it callers are told to come back."""

    def __init__(self) -> None:
        self._turns = anyio.Semaphore(AT_ONCE)
        self._threads = anyio.CapacityLimiter(AT_ONCE)
        self._held_bytes = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, counted as long as it is needed. Raises TooLarge, TooBusy."""
        chunks: list[bytes] = []
        try:
            async for chunk in chunks_of(request):
                if self._held_bytes + len(chunk) > WAITING_BYTES:
                    raise TooBusy("too many batches at once; send this one again in a second")
                self._held_bytes += len(chunk)
                chunks.append(chunk)
            yield b"".join(chunks)
        finally:
            self._held_bytes -= sum(map(len, chunks))

    async def run(self, work: Callable[[], intake.Receipt]) -> intake.Receipt:
        """What the work returns, done in a thread when its turn has come. Raises TooBusy."""
        with anyio.move_on_after(WAIT_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise TooBusy("too many batches at once; send this one again in a second")
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._turns.release()


@router.post(
    "/pings",
    summary="Position messages of units",
    dependencies=[needs("ingest")],
    openapi_extra=_body("PingItem"),
)
async def add_pings(
    request: Request, database: DatabaseDep, settings: SettingsDep, now_us: NowDep
) -> Response:
    """Stores pings. Scope `ingest`. Acknowledged means flushed to disk."""
    return await _take(request, partial(intake.accept_pings, database, settings, now_us=now_us))


@router.post(
    "/incidents",
    summary="Recorded incidents",
    dependencies=[needs("ingest")],
    openapi_extra=_body("IncidentItem"),
)
async def add_incidents(
    request: Request, database: DatabaseDep, settings: SettingsDep, now_us: NowDep
) -> Response:
    """Stores incidents by `incident_id`; a changed one replaces the former. Scope `ingest`."""
    return await _take(request, partial(intake.accept_incidents, database, settings, now_us=now_us))


async def _take(request: Request, accept: Callable[..., intake.Receipt]) -> Response:
    """Reads a body, has it accepted, and answers with the receipt."""
    kind, encoding = check_media(request, MEDIA_TYPES, ENCODINGS)
    gate: Gate = request.app.state.gate
    async with gate.body(request) as body:
        receipt = await gate.run(partial(accept, body, kind, encoding))
    return _answer(receipt)


def _answer(receipt: intake.Receipt) -> Response:
    if receipt.http_status == HTTPStatus.UNPROCESSABLE_ENTITY:
        detail = "no item was accepted; errors says why, item by item"
        return problem(422, detail, None, **receipt.as_dict())
    content = msgspec.json.encode(receipt)
    return Response(content, receipt.http_status, media_type="application/json")
