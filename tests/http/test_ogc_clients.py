"""Clients that people use, on a live service: each loads every collection whole and as it is."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from owslib.ogcapi.features import Features

from app.db import Database
from app.keys import add_key
from tests import layered
from tests.http.live import serving
from tests.postgres import settings_for

COUNTS = {
    "zones": layered.ZONES,
    "cells": 10_267,
    "incidents": layered.INCIDENTS,
    "units": layered.UNITS,
    "districts": 1,
}
GEOMETRIES = {
    "zones": "MultiPolygon",
    "cells": "Polygon",
    "incidents": "Point",
    "units": "Point",
    "districts": "MultiPolygon",
}
TYPES = {  # as fields of GDAL; what is null in the first features is of its own type all the same
    "zones": {"rank": "Integer", "priority": "Real", "start": "DateTime", "reasons": "String"},
    "cells": {"cell": "String", "priority": "Real", "dosage_s": "Real", "end": "DateTime"},
    "incidents": {"occurred_from": "DateTime", "reported_at": "DateTime", "category": "String"},
    "units": {"time": "DateTime", "stale": "Integer", "speed_mps": "Real", "status": "String"},
    "districts": {"name": "String", "shifts": "String"},
}
BOX = (-123.12, 49.25, -123.08, 49.27)


@dataclass(frozen=True)
class City:
    """The address of the layers of a live service, and a key to them."""

    address: str
    key: str

    def source(self, collection: str = "") -> str:
        """The layers, or one of them, as GDAL names them."""
        path = f"/collections/{collection}" if collection else ""
        return f"OAPIF:{self.address}{path}?api_key={self.key}"


@pytest.fixture(scope="module")
def city(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    url = f"sqlite:///{folder / 'city.db'}"
    shutil.copy(sqlite_template, folder / "city.db")
    with closing(Database(settings_for(url))) as database:
        layered.fill(database)
        key = add_key(database, "gis", ["view"], 0)
    with serving(url, folder / "log", derive_every_s="0") as address:
        yield City(f"{address}/ogc", key)


def ogr(program: str, *arguments: str) -> str:
    """What a program of Debian's GDAL says."""
    if not (path := shutil.which(program)):
        pytest.skip(f"{program}: gdal-bin is not installed")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("collection", COUNTS)
def test_gdal_of_pyogrio_loads_a_collection_whole(city: City, collection: str) -> None:
    for source in (city.source(), city.source(collection)):
        frame = pyogrio.read_dataframe(source, layer=collection)
        assert len(frame) == COUNTS[collection]
        assert set(frame.geom_type) == {GEOMETRIES[collection]}
        assert frame["id"].is_unique
        assert frame.crs.to_epsg() in (4326, None) or "CRS84" in str(frame.crs)
    west, south, east, north = frame.total_bounds
    assert -124 <= west <= east <= -122
    assert 48.6 <= south <= north <= 49.9
    if collection == "cells":
        # Each hexagon once, and no figure changed on the way.
        assert frame["cell"].nunique() == 10_267
        assert frame.sort_values("cell")["cell"].iloc[0] == f"{layered.disk()[0]:x}"
        assert frame["priority"].between(0, 1).all()


@pytest.mark.parametrize("collection", COUNTS)
def test_gdal_of_pyogrio_tells_the_types(city: City, collection: str) -> None:
    about = pyogrio.read_info(city.source(), layer=collection)
    kinds = dict(zip(about["fields"], about["ogr_types"], strict=True))
    for name, kind in TYPES[collection].items():
        assert kinds[name].removeprefix("OFT") == kind, name
    assert about["features"] == COUNTS[collection]


def test_gdal_of_pyogrio_filters(city: City) -> None:
    read = pyogrio.read_dataframe
    source = city.source()
    whole = read(source, layer="cells")
    inside = read(source, layer="cells", bbox=BOX)
    west, south, east, north = BOX
    assert set(inside["cell"]) == set(whole.cx[west:east, south:north]["cell"])
    some = read(source, layer="cells", where="priority > 0.9 AND shift = 'day'")
    assert set(some["cell"]) == set(whole[whole["priority"] > 0.9]["cell"])
    kinds = read(source, layer="incidents", where="category LIKE 'the%'")
    assert len(kinds) == np.sum(np.arange(layered.INCIDENTS) % 3 == 0)


@pytest.mark.parametrize("collection", COUNTS)
def test_gdal_of_debian_loads_a_collection_whole(
    city: City, collection: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.gpkg"
    source = city.source(collection)
    ogr("ogr2ogr", "-f", "GPKG", str(out), source, "-nln", "out", "-oo", "PAGE_SIZE=1000")
    frame = pyogrio.read_dataframe(out)
    assert len(frame) == COUNTS[collection]
    assert set(frame.geom_type) == {GEOMETRIES[collection]}
    about = pyogrio.read_info(out)
    kinds = dict(zip(about["fields"], about["ogr_types"], strict=True))
    for name, kind in TYPES[collection].items():
        assert kinds[name].removeprefix("OFT") == kind, name


def test_gdal_of_debian_filters(city: City) -> None:
    said = ogr("ogrinfo", "-so", "-al", city.source("cells"), "-where", "priority > 2")
    assert "Feature Count: 0" in said
    box = [str(edge) for edge in BOX]
    there = pyogrio.read_dataframe(city.source(), layer="cells", bbox=BOX)
    said = ogr("ogrinfo", "-so", "-al", city.source("cells"), "-spat", *box)
    assert f"Feature Count: {len(there)}" in said


@pytest.mark.parametrize(
    "settings",
    [("GDAL_HTTP_HEADERS", "X-API-Key: {}"), ("GDAL_HTTP_USERPWD", "gis:{}")],
    ids=["header", "password"],
)
def test_gdal_of_debian_brings_its_key(
    city: City, settings: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings[0], settings[1].format(city.key))
    said = ogr("ogrinfo", "-so", "-al", f"OAPIF:{city.address}/collections/zones")
    assert f"Feature Count: {layered.ZONES}" in said


def test_owslib(city: City) -> None:
    client = Features(city.address, headers={"X-API-Key": city.key})
    assert client.conformance()["conformsTo"]
    assert client.api()["openapi"].startswith("3.0")
    assert sorted(client.feature_collections()) == sorted(COUNTS)
    for collection, count in COUNTS.items():
        assert client.collection(collection)["id"] == collection
        assert "plan" in client.collection_queryables("zones")["properties"]
        got: list[str] = []
        while len(got) < count:
            page = client.collection_items(collection, limit=5000, offset=len(got))
            assert page["numberMatched"] == count
            got += [feature["id"] for feature in page["features"]]
        assert len(set(got)) == count
        one = client.collection_item(collection, got[0])
        assert one["id"] == got[0]
    found = client.collection_items("cells", bbox=list(BOX), limit=1)
    assert 0 < found["numberMatched"] < 10_267
    found = client.collection_items("incidents", filter="category = 'theft'", limit=1)
    assert found["numberMatched"] == 667  # every third of 2,000, from the first on
