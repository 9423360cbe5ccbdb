"""The service as a process of its own, and clients that load it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.db import Database
from app.keys import add_key
from app.settings import Settings

ROOT = Path(__file__).parents[1]
START = "from app.cli import main; main()"
START_S = 30
END_S = 15
Identity = tuple[str, int]  # call sign and second of a ping


@dataclass
class Process:
    """A running service, its address, a key, and where it logs."""

    running: subprocess.Popen[bytes]
    port: int
    key: str
    log: Path
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    def post(self, items: Any, path: str = "/v1/pings", **kwargs: Any) -> httpx.Response:
        return self.client.post(f"{self.address}{path}", json=items, headers=self.headers, **kwargs)

    def kill(self) -> None:
        """As `kill -9` would."""
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()


@contextmanager
def serving(settings: Settings, folder: Path, key: str | None = None) -> Iterator[Process]:
    """The service on a database, ready; the key is a new one unless it is given."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {f"FOCUS_PATROL_{k.upper()}": str(v) for k, v in settings.model_dump().items()}
    with (folder / "log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, "-c", START, "serve", "--port", str(port)],
            cwd=ROOT,  # this checkout's service, whichever is installed
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
    made = Process(running, port, key or new_key(settings), folder / "log")
    try:
        wait_until_ready(made)
        yield made
    finally:
        made.client.close()
        running.kill()
        running.wait()


def new_key(settings: Settings) -> str:
    """A key that may do everything."""
    database = Database(settings)
    try:
        return add_key(database, f"key {time.monotonic_ns()}", ["admin"], 0)
    finally:
        database.close()


def wait_until_ready(process: Process) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            httpx.get(f"{process.address}/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(process.log.read_text())


@dataclass
class Load:
    """Clients that send new pings one after another, alone and in batches, until told to stop."""

    process: Process
    begin_s: int
    clients: int = 4
    batch: int = 5  # every other call; the rest brings one ping
    acknowledged: set[Identity] = field(default_factory=set)
    sent: set[Identity] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Waits until this many more pings are acknowledged."""
        goal, until = len(self.acknowledged) + count, time.monotonic() + START_S
        while len(self.acknowledged) < goal:
            if time.monotonic() > until:
                raise TimeoutError(self.process.log.read_text()[-2000:])
            time.sleep(0.005)

    def _send(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)
        with closing(connection):
            second = self.begin_s
            while not self._stop.is_set():
                size = 1 if second % 2 else self.batch
                self._send_some(connection, [(f"car {number}", second + k) for k in range(size)])
                second += size

    def _send_some(self, connection: http.client.HTTPConnection, mine: list[Identity]) -> None:
        self.sent.update(mine)
        body = json.dumps([ping_of(*each) for each in mine])
        try:
            connection.request("POST", "/v1/pings", body, self.process.headers)
            answer = connection.getresponse()
            receipt = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            connection.close()
            time.sleep(0.01)
            return
        self.statuses.append(answer.status)
        if answer.status == 200 and receipt["accepted"] + receipt["duplicate"] == len(mine):
            self.acknowledged.update(mine)
        else:
            self.retry_after.append(int(answer.headers.get("Retry-After", 0)))
            time.sleep(0.05)


def ping_of(unit_id: str, second: int) -> dict[str, Any]:
    """A ping whose content follows from its identity."""
    return {"unit_id": unit_id, "time": second, "lat": 44 + second % 1000 / 1e4, "lon": -79.8}
