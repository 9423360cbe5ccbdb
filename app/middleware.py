"""The outermost layer: a request id, one access line, safe headers, and a problem for a defect.

Neither query strings nor headers are logged, since both may carry a key.
"""

import itertools
import re
import secrets
import time
from collections.abc import Collection

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.problems import problem

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
HEADERS = {  # unless the answer has its own
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address may carry a key
    "Cache-Control": "no-store",  # positions of patrol cars belong in no cache
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'",
}

RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Outermost:
    """Wraps the application; answers 500 with a problem where a defect shows."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, calls: Collection[tuple[str, str]] = ()
    ) -> None:
        """`calls`: those, by method and path, whose seconds are counted apart from all others."""
        self.app = app
        self._answers = metrics.answers
        self._other_s = metrics.answer_s.labels("other")
        self._answer_s = {call: metrics.answer_s.labels(" ".join(call)) for call in calls}
        self._log = structlog.get_logger().bind()  # once: it is looked up anew for every line else
        self._process = secrets.token_hex(8)
        self._count = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; what is not HTTP is passed on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id, bare=scope["method"] == "HEAD")
        began = time.perf_counter()
        try:
            await self.app(_as_get(scope), receive, answer.send)
        except ClientDisconnect:
            self._log.info("disconnected")  # nobody is left to answer
        except Exception:
            self._log.exception("defect", method=scope["method"], path=scope["path"])
            if answer.status is None:
                said = problem(500, "this is a defect of the service; its log has the details")
                await said(scope, receive, answer.send)
        finally:
            took_s = time.perf_counter() - began
            self._answers.labels(answer.status).inc()
            call = (scope["method"], scope["path"])
            self._answer_s.get(call, self._other_s).observe(took_s)
            self._log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=answer.status,
                ms=round(took_s * 1000, 1),
            )

    def _request_id(self, scope: Scope) -> str:
        """The caller's own id where it is harmless, else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                return str(value, "ascii")
        return f"{self._process}{next(self._count):016x}"


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
            headers = message["headers"]
            own = {name for name, _ in headers}
            missing = [each for each in RAW_HEADERS if each[0] not in own]
            request_id = (b"x-request-id", self._request_id.encode())
            message = {**message, "headers": [*headers, request_id, *missing]}
        elif self._bare:
            message = {**message, "body": b""}
        await self._send(message)


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered as GET is, without the body; what would have no end may look at the mark."""
    if scope["method"] != "HEAD":
        return scope
    return {**scope, "method": "GET", "focus_patrol.bare": True}
