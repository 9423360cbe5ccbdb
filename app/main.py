"""The service: `create_app(settings)` puts it together, `serve` runs it."""

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import anyio
import msgspec
import structlog
import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from app import coverage, retention, watch
from app.aliases import Aliases
from app.clocks import Clocks
from app.db import Database
from app.deps import Keyring, now_us
from app.documents import view_of
from app.errors import DatabaseAway
from app.events import Hub, View
from app.guard import Express
from app.intake import accept_pings
from app.intake.decode import PingItem, ping_columns
from app.intake.queue import Queue
from app.metrics import Metrics
from app.middleware import Outermost
from app.problems import handle_errors
from app.routers import (
    districts,
    docs,
    dosage,
    events,
    feeds,
    health,
    intake,
    pages,
    places,
    plans,
    rules,
    shifts,
    units,
)
from app.routers.metrics import router_of
from app.settings import Settings

VERSION = importlib.metadata.version("focus-patrol")
ABOUT = """Puts patrol cars in the right place at the right time.

Pings of patrol cars and recorded incidents come in; zones for focus patrol, by district and shift,
come out. A key travels as `Authorization: Bearer KEY`, `X-API-Key: KEY`, the password of HTTP
Basic, or `?api_key=KEY`. Every error is `application/problem+json` (RFC 9457)."""
GRACE_S = 8  # for answers under way; what is not answered then was not acknowledged
REST = 9  # seconds of rest for each of derivation
# Those of a part come before those of the whole, whose ids may hold a slash.
_ROUTERS = (
    *(pages, health, docs, intake, dosage, events, districts, shifts, units, plans),
    *(places, rules),
)
CLOCKS_EVERY_S = 15.0
LAST_S = 13.0  # after a signal, whatever still hangs

STEPS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)

log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """The application on the database of the settings, which it meets with the first request."""

    configure_logs(settings)

    def clock() -> int:
        return int(app.dependency_overrides.get(now_us, now_us)())

    def look() -> View:
        return view_of(app.state.database, settings, clock())

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            if settings.derive_every_s:
                tasks.start_soon(_keep_deriving, app)
            if settings.live_every_s:
                tasks.start_soon(_keep_watching, app.state.database, settings, clock)
                tasks.start_soon(app.state.events.keep_looking)
            if settings.retain_every_s:
                tasks.start_soon(_keep_retaining, app.state.database, settings)
            tasks.start_soon(_keep_clocks, app.state.clocks, app.state.database)
            yield
            app.state.events.stop()
            tasks.cancel_scope.cancel()
        app.state.queue.close()
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
    app.state.metrics = metrics = Metrics()
    app.state.gate = intake.Gate()
    app.state.events = Hub(look, settings.live_every_s)
    app.state.aliases = Aliases(app.state.database)
    app.state.clocks = Clocks()
    accept = partial(accept_pings, app.state.database, settings, clocks=app.state.clocks)
    app.state.queue = Queue(accept, metrics)
    metrics.waiting.set_function(lambda: len(app.state.queue))
    metrics.waiting_bytes.set_function(lambda: app.state.gate.held_bytes)
    handle_errors(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    app.include_router(feeds.router)
    app.include_router(feeds.tolerant)
    app.include_router(router_of(settings.open_metrics))
    return app


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    sockets: list[socket.socket] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, and is gone at most 15 s after.

    `sockets`: where to listen, if somebody else has opened that already.
    """
    app = create_app(settings)
    _join_logs(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,  # ours leaves out what may carry a key
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it is done; to be told to stop is no failure.
        signal.signal(number, lambda *_: sys.exit(0))
    _settle_memory()
    _Server(config, app.state.events.stop).run(sockets)


def _settle_memory() -> None:
    """Loads what the first ping would, and spares the collector what stays until the end.

    Otherwise the first call waits a second for imports, and every ten thousandth a tenth of one
    for a look at some half a million objects of the libraries.
    """
    ping_columns([PingItem("", "2000-01-01T00:00:00Z", 0, 0)])
    gc.collect()
    gc.freeze()


async def _keep_deriving(app: FastAPI) -> None:
    """Derives dwell from what comes in, again and again; a plan then finds little left to do.

    It rests nine times as long as it took, so that intake keeps the machine under load.
    """
    database, settings = app.state.database, app.state.settings
    while True:
        began = time.monotonic()
        try:
            # Left alone at the end: a block of work is stored whole or not at all.
            await to_thread.run_sync(
                coverage.derive, database, settings.plan_resolution, abandon_on_cancel=True
            )
        except DatabaseAway as away:
            log.warning("derivation waits", reason=str(away))
        except Exception:
            log.exception("derivation failed")
        took_s = time.monotonic() - began
        app.state.metrics.derive_s.observe(took_s)
        await anyio.sleep(max(settings.derive_every_s, REST * took_s))


async def _keep_watching(database: Database, settings: Settings, clock: Callable[[], int]) -> None:
    """Judges the rules of inactivity, again and again."""
    while True:
        try:
            await to_thread.run_sync(
                watch.evaluate, database, settings, clock(), abandon_on_cancel=True
            )
        except DatabaseAway as away:
            log.warning("rules wait", reason=str(away))
        except Exception:
            log.exception("rules failed")
        await anyio.sleep(settings.live_every_s)


async def _keep_retaining(database: Database, settings: Settings) -> None:
    """Deletes pings by age and makes the days to come, again and again, at first at once."""
    while True:
        try:
            done = await to_thread.run_sync(
                retention.retain, database, settings, now_us(), abandon_on_cancel=True
            )
            if done and (done.days or done.rows):
                log.info("retained", **asdict(done))
        except DatabaseAway as away:
            log.warning("retention waits", reason=str(away))
        except Exception:
            log.exception("retention failed")
        await anyio.sleep(settings.retain_every_s)


async def _keep_clocks(clocks: Clocks, database: Database) -> None:
    """Takes down now and then how far the clocks of units are off."""
    while True:
        await anyio.sleep(CLOCKS_EVERY_S)
        try:
            await to_thread.run_sync(clocks.store, database, abandon_on_cancel=True)
        except DatabaseAway as away:
            log.warning("clock offsets wait", reason=str(away))
        except Exception:
            log.exception("clock offsets failed")


class _Service(FastAPI):
    """The framework's application inside our layers, with a document that is true of ours."""

    def build_middleware_stack(self) -> ASGIApp:
        """Ours around the framework's."""
        direct = (*intake.router.routes, *feeds.router.routes, *feeds.tolerant.routes)
        express = Express(super().build_middleware_stack(), direct)
        return Outermost(express, self.state.metrics, express.calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, without the framework's telemetry, whose switch costs more than our guard."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await Starlette.__call__(self, scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = docs.document_of(self)
        return self.openapi_schema


class _Server(uvicorn.Server):
    """A server that neither a thread which hangs nor a stream can keep alive."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Remembers whose loop it is, so that a signal can speak to it."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begins to stop; what is acknowledged is on disk, so that a hard end loses nothing."""
        timer = threading.Timer(LAST_S, os._exit, [0])
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._end_streams)  # they have no end of their own
        super().handle_exit(sig, frame)


def configure_logs(settings: Settings) -> None:
    """One JSON object a line on standard output, from the level of the settings on.

    Tracebacks come without the values of variables, which may hold a key.
    """
    structlog.configure(
        processors=[*STEPS, structlog.processors.JSONRenderer(_json)],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.upper()),
        cache_logger_on_first_use=False,
    )


def _join_logs(settings: Settings) -> None:
    """Has the libraries' own log lines written as ours are."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_json),
            ],
            foreign_pre_chain=STEPS,
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # each look at the schema is a line
    logging.getLogger("httpx").setLevel(logging.WARNING)  # whole addresses, which may hold a key


def _json(line: Any, default: Callable[[Any], Any], **_: Any) -> str:
    """A log line, many times as fast as by the standard library."""
    return msgspec.json.encode(line, enc_hook=default).decode()
