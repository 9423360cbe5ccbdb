"""Every error answer: `application/problem+json` (RFC 9457), one shape on every route."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from app.deps import authorize, is_data
from app.errors import FocusPatrolError, status_of

MEDIA_TYPE = "application/problem+json"
MAX_FIELD = 128  # characters of a name that is quoted back
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

log = structlog.get_logger()


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """A problem document: `type`, `title`, `status`, `detail`, and what the problem adds."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    text = json.dumps(msgspec.to_builtins(document | members), ensure_ascii=False)
    content = text.encode(errors="replace")  # what is quoted may hold half a surrogate pair
    return Response(content, status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def handle_errors(app: FastAPI) -> None:
    """Makes every foreseen failure of the application a problem document."""
    app.add_exception_handler(FocusPatrolError, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _from_router)


def of_error(error: FocusPatrolError, request: Request) -> Response:
    """The problem that an error is, with the headers that its status calls for."""
    status = status_of(error)
    answer = problem(status, str(error), None, **error.members)
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers.append("WWW-Authenticate", 'Bearer realm="focus-patrol"')
        # A person who follows a link is asked for the key; a script must not raise that dialogue.
        if request.headers.get("sec-fetch-mode", "navigate") == "navigate":
            answer.headers.append("WWW-Authenticate", 'Basic realm="focus-patrol", charset="UTF-8"')
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("unavailable", reason=str(error))
    return answer


async def _foreseen(request: Request, error: Exception) -> Response:
    assert isinstance(error, FocusPatrolError)  # noqa: S101  registered for this class alone
    return of_error(error, request)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Values that make no sense are 422; a body that is no JSON is 400."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class alone
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return problem(400, "the body is no JSON")
    errors = [
        {"code": each["type"], "field": _field(each["loc"]), "message": each["msg"]}
        for each in found
    ]
    said = "; ".join(f"{each['field']}: {each['message']}" for each in errors[:3])
    return problem(422, said, errors=errors)


async def _from_router(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths and methods, unreadable bodies."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
    absent = error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if absent and is_data(
        request
    ):  # whoever has no key learns nothing, not even which paths there are
        try:
            await authorize(request, None)
        except FocusPatrolError as refused:
            return of_error(refused, request)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = allowed_methods(request)
        detail = f"{request.method} is not allowed here; there is {allowed}"
        return problem(405, detail, {"Allow": allowed})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(404, "there is nothing at this address")
    return problem(error.status_code, str(error.detail), error.headers)


def allowed_methods(request: Request) -> str:
    """The methods that the request's path answers, for `Allow`."""
    where = {key: request.scope[key] for key in ("type", "path", "root_path", "headers")}
    found = {
        method
        for method in METHODS
        for route in request.app.router.routes
        if route.matches({**where, "method": method})[0] == Match.FULL
    }
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))


def _field(loc: tuple[Any, ...]) -> str | None:
    """The place of a wrong value, as in `properties.shifts`, without saying `body` or `query`."""
    return ".".join(str(part) for part in loc[1:])[:MAX_FIELD] or None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
