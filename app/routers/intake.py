"""Batches of pings and incidents in; a receipt out once they are on disk."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Self

import anyio
import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import intake
from app.deps import Caller, clock_of, needs
from app.errors import TooBusy
from app.guard import MAX_BODY_BYTES, MIB, DirectRoute, body_of, check_media
from app.intake.queue import Queue
from app.problems import problem, problems
from app.schemas import Receipt

# Boxes in cars often send no media type at all; what they send is JSON.
MEDIA_TYPES = frozenset({"application/json", "application/x-ndjson", "application/ndjson", ""})
ENCODINGS = frozenset({"gzip", "x-gzip"})
PLAIN = frozenset({"identity", ""})
INFLATES_TO = MIB  # what a compressed body is taken for until it is inflated
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


router = APIRouter(prefix="/v1", route_class=DirectRoute, tags=["intake"], responses=_ANSWERS)


class Gate:
    """How much is taken in at once; beyond it callers are told to come back."""

    def __init__(
        self, at_once: int = AT_ONCE, waiting_bytes: int = WAITING_BYTES, wait_s: float = WAIT_S
    ) -> None:
        self._turns = anyio.Semaphore(at_once)
        self._threads = anyio.CapacityLimiter(at_once)
        self._wait_s = wait_s
        self.waiting_bytes = waiting_bytes
        self.held_bytes = 0

    def room(self) -> "Room":
        """Room for one body, to be given back at the end of a `with`."""
        return Room(self)

    async def run(self, work: Callable[[], intake.Receipt]) -> intake.Receipt:
        """What the work returns, done in a thread when its turn has come. Raises TooBusy."""
        with anyio.move_on_after(self._wait_s) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise TooBusy("too many batches at once; send this one again in a second")
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._turns.release()


class Room:
    """What one body takes of the gate's memory."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.held_bytes -= self._size

    def take(self, size: int) -> None:
        """Counts bytes that are kept from now on. Raises TooBusy where there is no room."""
        if self._gate.held_bytes + size > self._gate.waiting_bytes:
            raise TooBusy("too many batches at once; send this one again in a second")
        self._gate.held_bytes += size
        self._size += size


@router.post(
    "/pings",
    summary="Position messages of units",
    dependencies=[needs("ingest")],
    openapi_extra=_body("PingItem"),
)
async def add_pings(request: Request) -> Response:
    """Stores pings. Scope `ingest`. Acknowledged means flushed to disk.

    A key may be limited to some units; pings of others are then `unknown_unit`.
    """
    kind, encoding = check_media(request, MEDIA_TYPES, ENCODINGS)
    return _answer(await queued(request, lambda body: intake.decoded_pings(body, kind, encoding)))


async def queued(
    request: Request, decode: Callable[[bytes], intake.Decoded[intake.PingItem]]
) -> intake.Receipt:
    """The receipt of a request's pings, written together with those of others.

    `decode` makes them of the body, in another thread. Raises what it raises, TooLarge, TooBusy
    and DatabaseAway.
    """
    caller: Caller = request.state.caller
    gate: Gate = request.app.state.gate
    queue: Queue = request.app.state.queue
    plain = request.headers.get("content-encoding", "identity").lower() in PLAIN
    with gate.room() as room:
        body = await body_of(request, room.take)
        size = len(body) if plain else max(len(body), INFLATES_TO)
        call = intake.Call(partial(decode, body), caller.units)
        return await queue.put(call, size, clock_of(request))


@router.post(
    "/incidents",
    summary="Recorded incidents",
    dependencies=[needs("ingest")],
    openapi_extra=_body("IncidentItem"),
)
async def add_incidents(request: Request) -> Response:
    """Stores incidents by `incident_id`; a changed one replaces the former. Scope `ingest`."""
    kind, encoding = check_media(request, MEDIA_TYPES, ENCODINGS)
    state = request.app.state
    gate: Gate = state.gate
    now_us = clock_of(request)
    with gate.room() as room:
        body = await body_of(request, room.take)
        store = partial(intake.accept_incidents, state.database, state.settings)
        receipt = await gate.run(partial(store, body, kind, encoding, now_us))
    state.metrics.count("incidents", receipt.accepted, receipt.duplicate, receipt.rejected)
    return _answer(receipt)


def _answer(receipt: intake.Receipt) -> Response:
    if receipt.http_status == HTTPStatus.UNPROCESSABLE_ENTITY:
        detail = "no item was accepted; errors says why, item by item"
        return problem(422, detail, None, **receipt.as_dict())
    content = msgspec.json.encode(receipt)
    return Response(content, receipt.http_status, media_type="application/json")
