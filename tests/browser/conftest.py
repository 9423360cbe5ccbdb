"""A live service on a free port, and Chromium in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
QUIET = (  # a browser under test calls nobody but the page
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_S = 30


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an empty service answers."""
    folder = tmp_path_factory.mktemp("service")
    environment = os.environ | {"FOCUS_PATROL_DATABASE_URL": f"sqlite:///{folder}/town.db"}
    program = str(Path(sys.executable).with_name("focus-patrol"))
    subprocess.run([program, "migrate"], env=environment, check=True)
    port = free_port()
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            [program, "serve", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(15)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium from the system; Playwright's own would be a download.

    For a module at most: as long as it runs, so does an event loop, and no test can start another.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *root])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that fails its test if it complains, or asks anybody but the service."""
    complaints: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else complaints.append(f"asked {request.url}")
        ),
    )
    yield page
    page.close()
    assert complaints == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str) -> None:
    """Returns when the address answers 200. Raises TimeoutError."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310  our own service
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{address} did not answer within {START_S} s")
