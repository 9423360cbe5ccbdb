"""Server-sent events: what changes, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from app.deps import authorize, needs
from app.errors import DatabaseAway, FocusPatrolError
from app.events import Hub
from app.guard import GuardedRoute
from app.problems import problems

MEDIA_TYPE = "text/event-stream"

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["events"])


@router.get(
    "/events",
    summary="Changes as they happen",
    dependencies=[needs("view")],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A stream of events.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **problems(400, 401, 403, 422, 429, 500, 503),
    },
)
async def listen(
    request: Request,
    once: Annotated[bool, Query(description="Only the snapshot, and no more.")] = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """A `snapshot`, then each `unit`, `plan`, `dosage` and `alert` that changes. Scope `view`.

    With the id of an event in `Last-Event-ID`, what came after it instead of the snapshot, if that
    is still known. The last event is `end`, with the reason: `slow`, `stopping`, or `key`, for one
    that was revoked.
    """
    hub: Hub = request.app.state.events

    async def allowed() -> str | None:
        try:
            await authorize(request, "view")
        except DatabaseAway:
            return None  # nobody can tell; other calls say so
        except FocusPatrolError:
            return "key"
        return None

    bare = bool(request.scope.get("focus_patrol.bare"))
    stream = await hub.listen(last_event_id, allowed, once=once or bare)
    return StreamingResponse(stream, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
