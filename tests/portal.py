"""A portal on 127.0.0.1 that answers as Socrata, ArcGIS and file servers do, or as told badly."""

import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Trick = Callable[["Handler"], None]
Row = dict[str, Any]


class Portal:
    """A server in a thread. `tricks` are played first, one a request; None answers well.

    `rows`: what the portals publish, by id; each row has its `seconds` of last change beside its
    columns. `files`: what other addresses publish. `before`: called before each answer with the
    number of the request, so that rows may change between pages.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.files: dict[str, bytes] = {}
        self.tricks: list[Trick | None] = []
        self.forever: Trick | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.before: Callable[[int], None] = lambda number: None
        self.at_most = 50_000  # rows that an answer holds, whatever is asked for
        self.heeds_offset = True
        self.etags = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.portal = self  # type: ignore[attr-defined]  for the handlers
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, name: str, seconds: int, **columns: Any) -> None:
        """A row that changed so many seconds after midnight of 1 March 2026."""
        number = int(re.sub(r"\D", "", name))
        self.rows[name] = {
            "incident_id": name,
            "occurred_from": f"2026-02-{1 + number % 28:02d}T12:00:00Z",
            "lat": 44.4 + number / 10_000,
            "lon": -79.7,
            "category": "assault",
            "seconds": seconds,
            **columns,
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    portal: Portal

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at what was asked."""

    def do_GET(self) -> None:
        self.portal = self.server.portal  # type: ignore[attr-defined]  set by Portal
        portal, address = self.portal, urlsplit(self.path)
        self.query = {k: v[-1] for k, v in parse_qs(address.query).items()}
        portal.asked.append(self.query)
        portal.headers.append(dict(self.headers))
        portal.before(len(portal.asked))
        trick = portal.tricks.pop(0) if portal.tricks else portal.forever
        if trick is not None:
            trick(self)
        else:
            self.answer(address.path)

    def answer(self, path: str) -> None:
        """As a good server does."""
        if path == "/socrata":
            self.send(self.socrata())
        elif path == "/arcgis":
            self.send(self.arcgis())
        elif path in self.portal.files:
            self.file(self.portal.files[path])
        else:
            self.send(b'{"message": "no such dataset"}', status=404)

    def send(
        self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        # The other one adds a date of its own.
        (self.send_response_only if "Date" in headers else self.send_response)(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def file(self, body: bytes) -> None:
        tag = f'"{hash(body):x}"'
        if self.portal.etags and self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send(body, kind="text/plain", **({"ETag": tag} if self.portal.etags else {}))

    def part(self, rows: list[Row], limit: int, offset: int) -> tuple[list[Row], bool]:
        start = offset if self.portal.heeds_offset else 0
        end = start + min(limit, self.portal.at_most)
        return rows[start:end], end < len(rows)

    def ordered(self, after: float | None) -> list[Row]:
        rows = sorted(self.portal.rows.values(), key=lambda r: (r["seconds"], r["incident_id"]))
        return [row for row in rows if after is None or row["seconds"] >= after]

    def socrata(self) -> bytes:
        found = re.search(r"changed >= '([^']+)'", self.query.get("$where", ""))
        rows = self.ordered(
            datetime.fromisoformat(found[1]).timestamp() - MIDNIGHT if found else None
        )
        if "changed" not in self.query["$order"]:
            rows.sort(key=lambda row: row["incident_id"])
        part, _ = self.part(rows, int(self.query["$limit"]), int(self.query["$offset"]))
        return json.dumps([soda(row) for row in part]).encode()

    def arcgis(self) -> bytes:
        found = re.search(r"changed >= timestamp '([^']+)'", self.query["where"])
        moment = datetime.fromisoformat(found[1] + "+00:00") if found else None
        rows = self.ordered(moment.timestamp() - MIDNIGHT if moment else None)
        if "changed" not in self.query["orderByFields"]:
            rows.sort(key=lambda row: row["incident_id"])
        limit, offset = (int(self.query[f"result{n}"]) for n in ("RecordCount", "Offset"))
        part, more = self.part(rows, limit, offset)
        answer = {
            "geometryType": "esriGeometryPoint",
            "features": [esri(row) for row in part],
            "exceededTransferLimit": more,
        }
        return json.dumps(answer).encode()


MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


def soda(row: Row) -> Row:
    """As SODA writes a row: numbers in quotes, no member for a null."""
    moment = datetime.fromtimestamp(MIDNIGHT + row["seconds"], UTC)
    changed = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    values = {name: str(value) for name, value in row.items() if name != "seconds"}
    return {":id": "row-" + row["incident_id"], "changed": changed, **values}


def esri(row: Row) -> Row:
    """As ArcGIS writes a feature: dates in milliseconds."""
    values = {k: v for k, v in row.items() if k not in ("seconds", "lat", "lon", "occurred_from")}
    values["occurred_from"] = round(datetime.fromisoformat(row["occurred_from"]).timestamp() * 1000)
    changed = round((MIDNIGHT + row["seconds"]) * 1000)
    values |= {"OBJECTID": int(re.sub(r"\D", "", row["incident_id"])), "changed": changed}
    return {"attributes": values, "geometry": {"x": row["lon"], "y": row["lat"]}}


def status(code: int, **headers: str) -> Trick:
    return lambda h: h.send(b"trouble", status=code, kind="text/plain", **headers)


def body(content: bytes, kind: str = "application/json", **headers: str) -> Trick:
    return lambda h: h.send(content, kind=kind, **headers)


def web_page(h: Handler) -> None:
    h.send(b"<html>Down for maintenance</html>", kind="text/html; charset=utf-8")


def cut_short(h: Handler) -> None:
    """Half of the JSON, as if it were all."""
    content = h.socrata()
    h.send(content[: len(content) // 2])


def reset(h: Handler) -> None:
    """The connection breaks in the middle of the body."""
    content = h.socrata()
    h.send_response(200)
    h.send_header("Content-Length", str(len(content)))
    h.end_headers()
    h.wfile.write(content[: len(content) // 2])
    h.wfile.flush()
    h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    h.connection.close()
    h.close_connection = True


def hang_up(h: Handler) -> None:
    """No answer at all."""
    h.connection.shutdown(socket.SHUT_RDWR)
    h.close_connection = True


def silent(seconds: float) -> Trick:
    def play(h: Handler) -> None:
        time.sleep(seconds)
        h.close_connection = True

    return play


def drip(h: Handler) -> None:
    """A blank every 0.05 s, for ever: never silent for long, and never done."""
    h.send_response(200)
    h.send_header("Content-Length", "1000000")
    h.end_headers()
    try:
        while True:
            h.wfile.write(b" ")
            h.wfile.flush()
            time.sleep(0.05)
    except OSError:
        h.close_connection = True


def zipped(h: Handler) -> None:
    h.send(gzip.compress(h.socrata()), Content_Encoding="gzip")


def zipped_short(h: Handler) -> None:
    h.send(gzip.compress(h.socrata())[:-20], Content_Encoding="gzip")


def moved(location: str) -> Trick:
    return lambda h: h.send(b"", status=302, Location=location)
