"""Other servers of layers, to measure beside: tipg and pygeoapi, each in an environment of its own.

`python -m tests.benchmark.peers` installs them under out/peers; without them a benchmark says that
they are missing.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "out" / "peers"
PACKAGES = {
    "tipg": ("tipg==1.6.1", "uvicorn"),
    "pygeoapi": ("pygeoapi==0.21.*", "psycopg2-binary", "geoalchemy2", "uvicorn", "starlette"),
}
START_S = 60


def program(peer: str, name: str) -> Path:
    """A program of a peer's environment, whether it is there or not."""
    return FOLDER / peer / "bin" / name


def is_there(peer: str) -> bool:
    """Whether a peer is installed."""
    return program(peer, "uvicorn").exists()


def install() -> None:
    """Installs what is missing."""
    for peer, packages in PACKAGES.items():
        if not is_there(peer):
            subprocess.run([sys.executable, "-m", "venv", FOLDER / peer], check=True)
            subprocess.run([program(peer, "pip"), "install", "--quiet", *packages], check=True)


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path], path: str, variables: Mapping[str, str], port: int | None = None
) -> Iterator[str]:
    """The address of a server, from when it answers at a path until the block ends.

    `command` takes the port in place of `{port}`.
    """
    port = port or free_port()
    words = [str(word).replace("{port}", str(port)) for word in command]
    values = {name: value.replace("{port}", str(port)) for name, value in variables.items()}
    process = subprocess.Popen(
        words, env=os.environ | values, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}{path}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10):  # noqa: S310  our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"nothing answers at {address.partition('?')[0]}")


if __name__ == "__main__":
    install()
