"""A service as a process of its own, for clients that speak HTTP themselves."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_S = 30


@contextmanager
def serving(database_url: str, log: Path, **settings: str) -> Iterator[str]:
    """The address of a service on this database, as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = "from app.cli import main; main()"
    named = {f"FOCUS_PATROL_{name.upper()}": value for name, value in settings.items()}
    environment = os.environ | {"FOCUS_PATROL_DATABASE_URL": database_url, **named}
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "serve", "--port", str(port)],
            env=environment, stdout=lines, stderr=lines,
        )  # fmt: skip
        try:
            _wait_for(f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(address: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            httpx.get(f"{address}/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(log.read_text())
