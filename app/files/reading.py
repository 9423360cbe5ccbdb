"""Opens a file of pings or incidents by the end of its name, and gives its rows in pieces."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyogrio.errors import CRSError, DataSourceError

from app.errors import BadInput
from app.facts import Floats
from app.files.georss import georss_rows, is_georss
from app.files.gpx import gpx_rows, is_gpx
from app.files.rows import Rows, in_wgs84
from app.files.text import csv_rows, line_rows
from app.profile import Kind, Layout, Profile, layout_of

BATCH_ROWS = 65_536
CSV = (".csv", ".tsv", ".txt")
LINES = (".ndjson", ".jsonl", ".json")
FEEDS = (".xml", ".rss", ".atom", ".georss")
DAMAGES = (pa.ArrowException, CRSError, DataSourceError, EOFError, OSError, zlib.error)


@dataclass(frozen=True)
class Source:
    """A file that is open: how its columns are read, and its rows in pieces, in their order."""

    layout: Layout
    rows: Iterator[Rows]


def open_rows(path: Path, profile: Profile, kind: Kind, batch_rows: int = BATCH_ROWS) -> Source:
    """The rows of a CSV, NDJSON, Parquet, GPX, GeoJSON or GeoRSS file, text forms also as `.gz`.

    Whatever else GDAL reads is taken as a layer of points. Memory holds a few pieces at a time.
    Raises BadInput where there is no such file, it is damaged, or its columns do not fit.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            source = _parquet(path, profile, kind, batch_rows)
        elif name.endswith(CSV):
            source = Source(*csv_rows(path, profile, kind))
        elif is_gpx(path) and kind == "pings":
            source = Source(*gpx_rows(path, profile, batch_rows))
        elif name.endswith(LINES) and not _is_geojson(path):
            source = Source(*line_rows(path, profile, kind, batch_rows))
        elif name.endswith(FEEDS) and is_georss(path):
            source = Source(*georss_rows(path, profile, kind, batch_rows))
        else:
            source = _features(path, profile, kind, batch_rows)
    except DAMAGES as error:
        raise _damaged(path, error) from error
    return Source(source.layout, _foreseen(path, source.rows))


def _foreseen(path: Path, rows: Iterator[Rows]) -> Iterator[Rows]:
    """The same rows; what goes wrong while reading becomes BadInput."""
    try:
        yield from rows
    except DAMAGES as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(f"{path.name} cannot be read: {str(error).splitlines()[0][:200]}")


def _parquet(path: Path, profile: Profile, kind: Kind, batch_rows: int) -> Source:
    file = pq.ParquetFile(path)
    layout = layout_of(profile, kind, file.schema_arrow.names)

    def rows() -> Iterator[Rows]:
        start = 0
        for batch in file.iter_batches(batch_rows, columns=list(layout.needed)):
            yield Rows(
                columns=dict(zip(batch.schema.names, batch.columns, strict=True)),
                index=np.arange(start, start + len(batch)),
                done=start + len(batch),
                total=file.metadata.num_rows,
            )
            start += len(batch)

    return Source(layout, rows())


def _is_geojson(path: Path) -> bool:
    """Whether a file that ends in .json is GeoJSON, by its beginning."""
    if not path.name.lower().endswith((".json", ".json.gz")):
        return False
    with pa.input_stream(path, compression="detect") as stream:
        return b'"FeatureCollection"' in stream.read(4096)


def _features(path: Path, profile: Profile, kind: Kind, batch_rows: int) -> Source:
    """Points of a geographic file; their attributes are the columns."""
    layer = f"/vsigzip/{path.absolute()}" if path.suffix == ".gz" else str(path)
    info = pyogrio.read_info(layer, force_feature_count=True)
    layout = layout_of(profile, kind, info["fields"].tolist(), placed=True)
    if info["features"] and not info["geometry_type"]:
        raise BadInput(f"{path.name} has no geometry")

    def rows() -> Iterator[Rows]:
        start = 0
        with pyogrio.open_arrow(
            layer,
            columns=list(layout.needed),
            batch_size=batch_rows,
            use_pyarrow=True,
            **_texts_stay(info["driver"]),
        ) as (meta, batches):
            for batch in batches:
                lat, lon = _points(batch, meta["geometry_name"] or "wkb_geometry", meta["crs"])
                yield Rows(
                    columns={name: _storage(batch.column(name)) for name in layout.needed},
                    index=np.arange(start, start + len(batch)),
                    lat=lat,
                    lon=lon,
                    done=start + len(batch),
                    total=int(info["features"]),
                )
                start += len(batch)

    return Source(layout, rows())


def _texts_stay(driver: str) -> dict[str, str]:
    """GDAL would otherwise turn the texts of GeoJSON that look like times into milliseconds."""
    return {"DATE_AS_STRING": "YES"} if driver == "GeoJSON" else {}


def _storage(column: pa.Array) -> pa.Array:
    """A column without what GDAL says about its meaning."""
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _points(batch: pa.RecordBatch, name: str, crs: str | None) -> tuple[Floats, Floats]:
    """Latitude and longitude [deg] of points, NaN for every other geometry and for none."""
    wkb = np.asarray(_storage(batch.column(name)).to_pylist(), dtype=object)
    shapes = shapely.from_wkb(wkb, on_invalid="ignore")
    return in_wgs84(shapely.get_y(shapes), shapely.get_x(shapes), crs or "EPSG:4326")
