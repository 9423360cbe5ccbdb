"""The service: `create_app(settings)` puts it together, `serve` runs it."""

import contextlib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import structlog
import uvicorn
from anyio import to_thread
from fastapi import FastAPI

from app import coverage
from app.db import Database
from app.deps import Keyring
from app.errors import DatabaseAway
from app.middleware import Outermost
from app.problems import handle_errors
from app.routers import districts, docs, health, intake, pages, plans, shifts, units
from app.settings import Settings

VERSION = importlib.metadata.version("focus-patrol")
ABOUT = """Puts patrol cars in the right place at the right time.

Pings of patrol cars and recorded incidents come in; zones for focus patrol, by district and shift,
come out. A key travels as `Authorization: Bearer KEY`, `X-API-Key: KEY`, the password of HTTP
Basic, or `?api_key=KEY`. Every error is `application/problem+json` (RFC 9457)."""
GRACE_S = 8  # for answers under way; what is not answered then was not acknowledged
LAST_S = 13.0  # after a signal, whatever still hangs

log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """The application on the database of the settings, which it meets with the first request."""

    configure_logs(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            if settings.derive_every_s:
                tasks.start_soon(_keep_deriving, app.state.database, settings)
            yield
            tasks.cancel_scope.cancel()
        app.state.database.close()

    app = _Service(
        title="Focus Patrol",
        version=VERSION,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # the document has a route of our own, with one error shape
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.database = Database(settings)
    app.state.keyring = Keyring(app.state.database)
    app.state.gate = intake.Gate()
    handle_errors(app)
    for module in (pages, health, docs, intake, districts, shifts, units, plans):
        app.include_router(module.router)
    app.add_middleware(Outermost)
    return app


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serves until SIGTERM or SIGINT, and is gone at most 15 s after."""
    config = uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        access_log=False,  # ours leaves out what may carry a key
        log_level=settings.log_level.lower(),
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it is done; to be told to stop is no failure.
        signal.signal(number, lambda *_: sys.exit(0))
    _Server(config).run()


async def _keep_deriving(database: Database, settings: Settings) -> None:
    """Derives dwell from what comes in, again and again; a plan then finds little left to do."""
    while True:
        try:
            # Left alone at the end: a block of work is stored whole or not at all.
            await to_thread.run_sync(coverage.derive, database, settings, abandon_on_cancel=True)
        except DatabaseAway as away:
            log.warning("derivation waits", reason=str(away))
        except Exception:
            log.exception("derivation failed")
        await anyio.sleep(settings.derive_every_s)


class _Service(FastAPI):
    """The framework's application, with a document that is true of ours."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = docs.document_of(self)
        return self.openapi_schema


class _Server(uvicorn.Server):
    """A server that a thread which hangs cannot keep alive."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begins to stop; what is acknowledged is on disk, so that a hard end loses nothing."""
        timer = threading.Timer(LAST_S, os._exit, [0])
        timer.daemon = True
        timer.start()
        super().handle_exit(sig, frame)


def configure_logs(settings: Settings) -> None:
    """One JSON object a line on standard output, from the level of the settings on.

    Tracebacks come without the values of variables, which may hold a key.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.upper()),
        cache_logger_on_first_use=False,
    )
