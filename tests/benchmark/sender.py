"""A client that loads the service, as a process of its own: `python -m tests.benchmark.sender`.

Each connection sends its next call as soon as it has its answer, or, with `--rate`, when it is due;
latency then counts from when it was due. Prints one JSON object.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count

import numpy as np
import uvloop

UNITS = 500


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("key")
    parser.add_argument("--begin", type=float, required=True, help="instant of the first pings [s]")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--items", type=int, default=1, help="pings in a call")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0, help="calls/s; 0: as many as there can be")
    print(json.dumps(uvloop.run(Sender(parser.parse_args()).run())))


class Sender:
    """All connections, and what came of their calls."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        # Batches are made before the clock starts; single pings as they are sent.
        made = requests(options.key, options.items, options.begin)
        ahead = [next(made) for _ in range(800)] if options.items > 1 else []
        self.requests = iter(ahead) if ahead else made
        self.statuses: Counter[int] = Counter()
        self.accepted = 0
        self.latency_s: list[float] = []
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()

    async def run(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        port, connections = self.options.port, self.options.connections
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        self.began = time.perf_counter()
        self.until = self.began + self.options.seconds
        if self.options.rate:
            await self._pace()
        else:
            while self.idle:
                self.idle.popleft().send(time.perf_counter())
        while len(self.idle) < connections and time.perf_counter() < self.until + 20:
            await asyncio.sleep(0.01)
        took_s = self.last - self.began
        latency_ms = np.array(self.latency_s) * 1e3
        return {
            "calls_s": len(self.latency_s) / took_s,
            "pings_s": self.accepted / took_s,
            "statuses": dict(self.statuses),
            "p50_ms": float(np.percentile(latency_ms, 50)),
            "p99_ms": float(np.percentile(latency_ms, 99)),
        }

    async def _pace(self) -> None:
        sent = 0
        while (now := time.perf_counter()) < self.until:
            owed = int((now - self.began) * self.options.rate)
            self.due.extend(self.began + k / self.options.rate for k in range(sent, owed))
            sent = max(sent, owed)
            while self.due and self.idle:
                self.idle.popleft().send(self.due.popleft())
            await asyncio.sleep(0.001)
        self.due.clear()

    def answered(self, connection: "Connection", status: int, accepted: int) -> None:
        self.last = time.perf_counter()
        self.statuses[status] += 1
        self.accepted += accepted
        self.latency_s.append(self.last - connection.since)
        if self.due:
            connection.send(self.due.popleft())
        elif self.options.rate or self.last >= self.until:
            self.idle.append(connection)
        else:
            connection.send(self.last)


class Connection(asyncio.Protocol):
    """One connection with at most one call under way."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.sender.idle.append(self)

    def send(self, since: float) -> None:
        request = next(self.sender.requests, None)
        if request is None:  # all that was made is sent
            self.sender.idle.append(self)
            return
        self.since = since
        self.transport.write(request)  # type: ignore[attr-defined]  a transport that writes

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or not body.endswith(b"}"):
            return
        self.received = b""
        start = body.find(b'"accepted":') + len(b'"accepted":')
        accepted = int(body[start : body.index(b",", start)]) if b'"accepted":' in body else 0
        self.sender.answered(self, int(head[9:12]), accepted)


def requests(key: str, items: int, begin_s: float) -> Iterator[bytes]:
    """Calls with new pings of 500 units, each a second after its last one."""
    head = f"POST /v1/pings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: "
    numbers = count()
    while True:
        texts = [ping(next(numbers), begin_s) for _ in range(items)]
        body = texts[0] if items == 1 else f"[{','.join(texts)}]"
        yield f"{head}{len(body)}\r\n\r\n{body}".encode()


def ping(number: int, begin_s: float) -> str:
    second, unit = divmod(number, UNITS)
    lat, lon = 44.5 + number % 1009 / 1e4, -79.8 + number % 997 / 1e4
    return (
        f'{{"unit_id":"car {unit}","time":{begin_s + second},"lat":{lat:.6f},"lon":{lon:.6f},'
        '"speed_mps":8.3,"heading_deg":120}'
    )


if __name__ == "__main__":
    main()
