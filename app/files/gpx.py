"""Tracks of GPX files as pings; waypoints and routes are no places where anybody was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
import shapely

from app.facts import RANGE_ERROR_M
from app.files.rows import Rows
from app.profile import Layout, Profile, layout_of

COLUMNS = ("unit_id", "time", "speed_mps", "heading_deg", "accuracy_m")
_POINTS = "track_points"
# Theirs, where a file has it, for ours; the speed of GPX 1.0 is in m/s.
_THEIRS = {"time": "time", "speed_mps": "speed", "heading_deg": "course", "accuracy_m": "hdop"}


def is_gpx(path: Path) -> bool:
    """Whether a file is GPX, by the end of its name."""
    return path.name.lower().endswith((".gpx", ".gpx.gz"))


def gpx_rows(path: Path, profile: Profile, batch_rows: int) -> tuple[Layout, Iterator[Rows]]:
    """How a GPX file is read, and the points of its tracks in pieces, in their order.

    The unit is the track's name, or that of the file where the track has none. A time without an
    offset is in UTC, as GPX has it. Source: Foster (2004), GPX 1.1 Schema Documentation.
    """
    layer = f"/vsigzip/{path.absolute()}" if path.suffix == ".gz" else str(path)
    info = pyogrio.read_info(layer, layer=_POINTS, force_feature_count=True)
    there = {ours: name for ours, name in _THEIRS.items() if name in info["fields"]}
    layout = layout_of(profile, "pings", ["unit_id", *there], placed=True)
    names = _names(layer, path)

    def rows() -> Iterator[Rows]:
        start = 0
        with pyogrio.open_arrow(
            layer,
            layer=_POINTS,
            columns=["track_fid", *there.values()],
            batch_size=batch_rows,
            use_pyarrow=True,
            datetime_as_string=True,
        ) as (meta, batches):
            for batch in batches:
                points = shapely.from_wkb(
                    np.asarray(_plain(batch, meta["geometry_name"] or "wkb_geometry"), dtype=object)
                )
                columns = {ours: batch.column(name) for ours, name in there.items()}
                columns["unit_id"] = pa.array([names[k] for k in _plain(batch, "track_fid")])
                yield Rows(
                    columns=_in_our_units(columns),
                    index=np.arange(start, start + len(batch)),
                    lat=shapely.get_y(points),
                    lon=shapely.get_x(points),
                    done=start + len(batch),
                    total=int(info["features"]),
                )
                start += len(batch)

    return layout, rows()


def _names(layer: str, path: Path) -> list[str]:
    """What each track is called."""
    _, tracks = pyogrio.read_arrow(layer, layer="tracks", columns=["name"], read_geometry=False)
    otherwise = path.name.removesuffix(".gz").rpartition(".")[0]
    return [(name or "").strip() or otherwise for name in tracks["name"].to_pylist()]


def _plain(batch: pa.RecordBatch, name: str) -> list[Any]:
    column = batch.column(name)
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    values: list[Any] = column.to_pylist()
    return values


def _in_our_units(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    if "time" in columns:
        local = r"^([0-9-]+[T ][0-9:.]+)$"
        columns["time"] = pc.replace_substring_regex(columns["time"], local, r"\1Z")
    if "accuracy_m" in columns:
        hdop = columns["accuracy_m"]
        known = pc.if_else(pc.greater(hdop, 0.0), hdop, None)
        columns["accuracy_m"] = pc.multiply(known, RANGE_ERROR_M)
    return columns
