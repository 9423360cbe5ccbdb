"""The outermost layer: a request id, one access line, safe headers, and a problem for a defect.

Neither query strings nor headers are logged, since both may carry a key.
"""

import re
import time
import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address may carry a key
    "Cache-Control": "no-store",  # positions of patrol cars belong in no cache
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'",
}

log = structlog.get_logger()


class Outermost:
    """Wraps the application; answers 500 with a problem where a defect shows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; what is not HTTP is passed on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Request(scope))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id, bare=scope["method"] == "HEAD")
        began = time.perf_counter()
        try:
            await self.app(_as_get(scope), receive, answer.send)
        except ClientDisconnect:
            log.info("disconnected")  # nobody is left to answer
        except Exception:
            log.exception("defect", method=scope["method"], path=scope["path"])
            if answer.status is None:
                said = problem(500, "this is a defect of the service; its log has the details")
                await said(scope, receive, answer.send)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=answer.status,
                ms=round((time.perf_counter() - began) * 1000, 1),
            )


class _Answer:
    """What goes out: headers added, the status kept for the log, no body for HEAD."""

    def __init__(self, send: Send, request_id: str, *, bare: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._bare = bare
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        elif self._bare:
            message = {**message, "body": b""}
        await self._send(message)


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered as GET is, without the body; what would have no end may look at the mark."""
    if scope["method"] != "HEAD":
        return scope
    return {**scope, "method": "GET", "focus_patrol.bare": True}


def _request_id(request: Request) -> str:
    """The caller's own id where it is harmless, else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
