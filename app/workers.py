"""Several processes of the service behind one address, on one PostgreSQL.

They share nothing but the listening socket and the database: keys, derivation and retention are
settled there.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from multiprocessing.context import SpawnProcess
from types import FrameType

import structlog
from sqlalchemy import make_url

from app.errors import FocusPatrolError
from app.main import LAST_S, configure_logs, serve
from app.settings import Settings

BACKLOG = 2048
LOOK_S = 0.2  # between two looks after the workers
AGAIN_S = 1.0  # before one that ended by itself is replaced

log = structlog.get_logger()


def can_share(settings: Settings) -> bool:
    """Whether several processes may serve the database of the settings."""
    return make_url(settings.database_url).get_backend_name() == "postgresql"


def serve_many(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serves with that many processes until SIGTERM or SIGINT, and is gone at most 15 s after.

    A worker that ends by itself is replaced. Raises FocusPatrolError for an address that is taken.
    """
    configure_logs(settings)
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with _listening(host, port) as opened:
        running = [_started(settings, opened) for _ in range(workers)]
        while not told:
            time.sleep(LOOK_S)
            for k, process in enumerate(running):
                if not told and not process.is_alive():
                    log.error("worker ended", pid=process.pid, status=process.exitcode)
                    time.sleep(AGAIN_S)
                    running[k] = _started(settings, opened)
    _end(running)


def _end(running: list[SpawnProcess]) -> None:
    """Has each worker finish what it answers; one that hangs is killed, nothing of it is lost."""
    until = time.monotonic() + LAST_S + 0.5
    for process in running:
        process.terminate()
    for process in running:
        process.join(max(0.0, until - time.monotonic()))
        process.kill()
        process.join()


def _started(settings: Settings, opened: socket.socket) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(
        target=_work, args=(settings, opened, os.getpid())
    )
    process.start()
    return process


def _work(settings: Settings, opened: socket.socket, parent: int) -> None:
    """What a worker does; it does not outlive its parent."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    serve(settings, sockets=[opened])


def _watch(parent: int) -> None:
    """Ends this process as SIGTERM does once its parent is gone, killed or not."""
    while os.getppid() == parent:
        time.sleep(AGAIN_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _listening(host: str, port: int) -> socket.socket:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(kind)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
        opened.set_inheritable(True)
    except OSError as error:
        opened.close()
        raise FocusPatrolError(f"{host}:{port} cannot be used: {error.strerror}") from error
    return opened
