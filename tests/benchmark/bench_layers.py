"""One layer of 10,267 hexagons served to clients, beside tipg and pygeoapi in the same run.

Each server has one process and gets the same load; nothing is compressed but where ogr2ogr asks for
it. The peers read the same cells from one PostGIS table with a GiST index.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from app.db import Database
from app.keys import add_key
from app.migrate import migrate
from tests import layered
from tests.benchmark import peers
from tests.benchmark.databases import databases
from tests.benchmark.table import Table, median_s
from tests.postgres import PostgresServer, settings_for

LOAD = ("-t1", "-c4")
SECONDS = 5
TABLE = """
    CREATE TABLE hexagons AS SELECT
        row_number() OVER (ORDER BY p.cell)::int AS id, p.plan, to_hex(p.cell) AS cell,
        p.expected_incidents, p.expected_harm, p.dosage_s, p.residual_s, p.priority,
        to_timestamp(0) AS start, (ST_Dump(c.geometry)).geom AS geometry
    FROM plan_cells AS p JOIN cells AS c USING (cell);
    ALTER TABLE hexagons ADD PRIMARY KEY (id);
    CREATE INDEX ON hexagons USING gist (geometry);
    ANALYZE hexagons"""


def run() -> Table:
    if not shutil.which("wrk"):
        raise SystemExit("this benchmark needs wrk (on Debian and Ubuntu: apt-get install wrk)")
    lines = []
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as addresses:
        for database, address in addresses.items():
            key = filled(address)
            with ours(address) as served:
                items = f"{served}/ogc/collections/cells/items"
                lines.append((f"Focus Patrol, {database}", *measured(items, key, Path(name))))
        there = [peer for peer in PEERS if peers.is_there(peer)]
        if there and "PostGIS" in addresses:
            table = with_port(addresses["PostGIS"])
            for peer in there:
                with PEERS[peer](table, Path(name)) as items:
                    lines.append((peer, *measured(items, None, Path(name))))
    missing = [peer for peer in peers.PACKAGES if not peers.is_there(peer)]
    columns = (
        *("server", "limit=10, requests/s", "limit=1000, requests/s"),
        *("unchanged (304), requests/s", "ogr2ogr, whole layer, s"),
    )
    notes = [
        "10,267 hexagons of resolution 9 with their properties, one server process each, four "
        f"connections of wrk for {SECONDS} s. ogr2ogr of {gdal()}, in pages of 1,000, the median "
        "of three. A dash: the server knows no ETag.",
    ]
    if missing:
        notes.append(
            f"Not measured: {', '.join(missing)}; `python -m tests.benchmark.peers` installs them."
        )
    return Table(columns, lines, notes)


def with_port(address: str) -> URL:
    """The server of PostGIS started again with a port: the peers know no sockets."""
    url = make_url(address)
    server, port = PostgresServer(Path(str(url.query["host"]))), peers.free_port()
    server.stop("fast")
    server.start(port)
    return url.set(drivername="postgresql", host="127.0.0.1", port=port, query={})


def filled(address: str) -> str:
    """A key to a database that has the layer."""
    settings = settings_for(address)
    migrate(settings)
    with closing(Database(settings)) as database:
        layered.fill(database)
        key = add_key(database, "bench", ["view"], 0)
    if make_url(address).get_backend_name() == "postgresql":
        with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(TABLE)
    return key


def measured(items: str, key: str | None, folder: Path) -> tuple[object, ...]:
    """Requests/s for small and large pages and for unchanged ones; seconds for the whole layer."""
    headers = [] if key is None else [f"X-API-Key: {key}"]
    few, many = (per_second(f"{items}{_joint(items)}limit={n}", headers) for n in (10, 1000))
    etag = etag_of(f"{items}{_joint(items)}limit=1000", headers)
    same = "–"
    if etag is not None:
        said = [*headers, f"If-None-Match: {etag}"]
        same = per_second(f"{items}{_joint(items)}limit=1000", said)
    collection = items.partition("/items")[0]
    out = folder / "out.fgb"

    def load() -> None:
        out.unlink(missing_ok=True)
        command = ["ogr2ogr", "-f", "FlatGeobuf", str(out), f"OAPIF:{collection}"]
        environment = os.environ | ({"GDAL_HTTP_HEADERS": headers[0]} if headers else {})
        subprocess.run(
            [*command, "-oo", "PAGE_SIZE=1000"], env=environment, check=True, capture_output=True
        )

    whole = median_s(load) if shutil.which("ogr2ogr") else "–"
    return few, many, same, whole


def per_second(address: str, headers: list[str]) -> float:
    """Requests/s, all of which succeed."""
    said = [word for header in headers for word in ("-H", header)]
    done = subprocess.run(
        ["wrk", *LOAD, f"-d{SECONDS}s", *said, address], capture_output=True, text=True, check=True
    )
    if "Non-2xx or 3xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    return float(found[1]) if found else 0.0


def etag_of(address: str, headers: list[str]) -> str | None:
    asked = urllib.request.Request(address, headers=dict(h.split(": ", 1) for h in headers))  # noqa: S310  our own address
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  our own address
        page = json.loads(answer.read())
        assert len(page["features"]) == 1000
        return answer.headers["ETag"]


@contextmanager
def ours(address: str) -> Iterator[str]:
    """Our service on a database."""
    program = "from app.cli import main; main()"
    variables = {"FOCUS_PATROL_DATABASE_URL": address}
    command = [sys.executable, "-c", program, "serve", "--port", "{port}"]
    with peers.running(command, "/readyz", variables) as served:
        yield served


@contextmanager
def tipg(url: URL, _folder: Path) -> Iterator[str]:
    """The layer in tipg."""
    variables = {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "TIPG_DB_SCHEMAS": '["public"]',
        "TIPG_DB_EXCLUDE_FUNCTION_SCHEMAS": '["public"]',
    }
    command = [peers.program("tipg", "uvicorn"), "tipg.main:app", "--port", "{port}"]
    path = "/collections/public.hexagons/items"
    with peers.running(command, path, variables) as served:
        yield f"{served}{path}?f=geojson"


@contextmanager
def pygeoapi(url: URL, folder: Path) -> Iterator[str]:
    """The layer in pygeoapi."""
    folder = folder / "pygeoapi"
    folder.mkdir(exist_ok=True)
    port = peers.free_port()  # its links are as its settings say
    settings = _pygeoapi_settings(url, f"http://127.0.0.1:{port}")
    (folder / "template.json").write_text(json.dumps(settings))
    variables = {
        "PYGEOAPI_CONFIG": str(folder / "template.json"),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.yml"),
    }
    subprocess.run(
        [peers.program("pygeoapi", "pygeoapi"), "openapi", "generate", folder / "template.json",
         "--output-file", folder / "openapi.yml"],
        env=os.environ | variables, check=True, capture_output=True,
    )  # fmt: skip
    command = [peers.program("pygeoapi", "uvicorn"), "pygeoapi.starlette_app:APP"]
    path = "/collections/hexagons/items"
    with peers.running([*command, "--port", "{port}"], path, variables, port) as served:
        yield f"{served}{path}?f=json"


def _pygeoapi_settings(url: URL, address: str) -> dict[str, object]:
    data = {
        "host": url.host,
        "port": url.port,
        "dbname": url.database,
        "user": url.username,
        "password": "",
        "search_path": ["public"],
    }
    provider = {
        "type": "feature",
        "name": "PostgreSQL",
        "data": data,
        "id_field": "id",
        "table": "hexagons",
        "geom_field": "geometry",
    }
    resource = {
        "type": "collection",
        "title": "Hexagons",
        "description": "Hexagons",
        "keywords": ["hexagons"],
        "extents": {"spatial": {"bbox": [-124, 48, -122, 50], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
        "links": [],
        "providers": [provider],
    }  # fmt: skip
    about = {"title": "a", "description": "a", "keywords": ["a"], "terms_of_service": "a",
             "url": "http://localhost"}  # fmt: skip
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000},
            "url": address,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "language": "en-US",
            "limits": {"default_items": 1000, "max_items": 10000},
            "map": {"url": "http://localhost/{z}/{x}/{y}.png", "attribution": "a"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": about,
            "license": {"name": "a", "url": "http://localhost"},
            "provider": {"name": "a", "url": "http://localhost"},
            "contact": {"name": "a", "url": "http://localhost", "email": "a@localhost"},
        },
        "resources": {"hexagons": resource},
    }


def gdal() -> str:
    """The version of ogr2ogr."""
    if not shutil.which("ogr2ogr"):
        return "no GDAL"
    said = subprocess.run(["ogr2ogr", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.partition(",")[0]


def _joint(address: str) -> str:
    return "&" if "?" in address else "?"


PEERS = {"tipg": tipg, "pygeoapi": pygeoapi}
