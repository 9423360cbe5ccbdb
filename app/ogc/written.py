"""Features as text: rows of the layers that no plan makes, and any text in another system."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import shapely

from app.geo import geojson
from app.moments import text_of
from app.ogc import crs as systems
from app.ogc.collections import TIME, Collection


class _Feature(msgspec.Struct):
    """A feature whose members stay as they are written."""

    id: msgspec.Raw
    geometry: msgspec.Raw
    properties: msgspec.Raw


_features = msgspec.json.Decoder(list[_Feature])


def features(collection: Collection, rows: Sequence[Any], crs: str) -> list[str]:
    """The rows of a layer as features, each with every property."""
    shapes = np.empty(len(rows), dtype=np.object_)
    shapes[:] = [row.geometry for row in rows]
    writers = [(p.name, _writer(p.kind, p.name)) for p in collection.properties]
    members = [{name: write(getattr(row, name)) for name, write in writers} for row in rows]
    ids = [str(getattr(row, str(collection.id_property))) for row in rows]
    return geojson.features_of_texts(_texts(shapes, crs), ids, members)


def in_crs(text: bytes, crs: str) -> bytes:
    """Features joined by commas, with their coordinates in another system."""
    if crs == systems.CRS84 or not text:
        return text
    found = _features.decode(b"[" + text + b"]")
    shapes = shapely.from_geojson([bytes(each.geometry) for each in found])
    return b",".join(
        b'{"type":"Feature","id":%b,"geometry":%b,"properties":%b}'
        % (bytes(each.id), shape.encode(), bytes(each.properties))
        for each, shape in zip(found, _texts(shapes, crs), strict=True)
    )


def _texts(shapes: Any, crs: str) -> list[str]:
    if crs == systems.CRS84:
        return geojson.geometry_texts(shapes)
    moved = systems.from_crs84(shapely.force_2d(shapes), crs)
    return [text or "null" for text in shapely.to_geojson(moved).tolist()]


def _writer(kind: str, name: str) -> Callable[[Any], Any]:
    if kind == TIME:
        return lambda value: None if value is None else text_of(value)
    if name == "stale":
        return bool
    if name == "shifts":
        return lambda value: "; ".join(f"{shift} {start}" for shift, start in value.items())
    return lambda value: value
