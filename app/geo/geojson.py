"""RFC 7946: cells, zones and tracks as GeoJSON text. The only place where it is lon before lat.

Exterior rings run counter-clockwise, coordinates have six decimals at most (about 0.1 m), and what
crosses the antimeridian is cut there. Text is made for many features at once and joined, never by
building dictionaries that are then encoded.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from h3ronpy import vector
from numpy.typing import NDArray

DECIMALS = 6

Geometries = NDArray[np.object_]

_WEST, _EAST = shapely.box(-180, -90, 180, 90), shapely.box(180, -90, 540, 90)
_TURN = np.array([360.0, 0.0])
_SAME_DEG = 10.0**-DECIMALS  # joined on the grid that is written, so that rounding breaks nothing
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
# Text inside JSON has no raw line break, so one after each comma shows where a member ends.
_encode_apart = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",\n", ":")
).encode


def hexagons(cells: NDArray[np.uint64] | NDArray[np.int64]) -> Geometries:
    """The outline of each cell: (n,) polygons (x = lon, y = lat) [deg]; empty for no cells.

    A cell on the antimeridian is a multipolygon of its two sides.
    """
    whole = _whole(cells)
    beyond = shapely.bounds(whole)[:, 2] > 180.0 if len(whole) else np.zeros(0, dtype=bool)
    whole[beyond] = [_cut(polygon) for polygon in whole[beyond]]
    return whole


def outline(cells: NDArray[np.uint64] | NDArray[np.int64]) -> shapely.MultiPolygon:
    """The outline of a set of cells, holes included; an empty multipolygon for no cells."""
    whole = _whole(cells)
    if len(whole) and shapely.bounds(whole)[:, 2].max() > 180.0:  # all on the same side of it
        west = shapely.bounds(whole)[:, 2] < 0.0
        whole[west] = shapely.transform(whole[west], lambda xy: np.add(xy, _TURN))
    return _multi(_cut(shapely.union_all(whole, grid_size=_SAME_DEG)))


def line(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> shapely.Geometry | None:
    """Positions (n,) [deg] as a line; a point for one, None for none."""
    if not len(lat):
        return None
    places = np.stack([lon, lat], axis=1)
    return shapely.LineString(places) if len(places) > 1 else shapely.Point(places[0])


def geometry_texts(geometries: Sequence[shapely.Geometry | None] | Geometries) -> list[str]:
    """GeoJSON geometry objects, `null` for None; empty for none. Altitudes are left out."""
    shapes = np.array(geometries, dtype=np.object_).reshape(-1)
    shapes = shapely.orient_polygons(shapely.force_2d(shapes), exterior_cw=False)
    # Adding zero makes -0.0 a plain zero.
    shapes = shapely.transform(shapes, lambda lon_lat: np.round(lon_lat, DECIMALS) + 0.0)
    return [text or "null" for text in shapely.to_geojson(shapes).tolist()]


def feature(
    geometry: shapely.Geometry | None,
    properties: Mapping[str, Any],
    id: str | None = None,  # noqa: A002  the format's word
) -> str:
    """One GeoJSON Feature; `geometry` None becomes null."""
    member = "" if id is None else f'"id":{_encode(id)},'
    shape, members = geometry_texts([geometry])[0], _encode(properties)
    return f'{{"type":"Feature",{member}"geometry":{shape},"properties":{members}}}'


def features(
    geometries: Sequence[shapely.Geometry | None] | Geometries,
    ids: Sequence[str],
    properties: Sequence[Mapping[str, Any]],
) -> list[str]:
    """GeoJSON Features, one per geometry; empty for none.

    Raises ValueError where the lengths differ or a property is not finite.
    """
    names, members = _texts(ids, '"', '"'), _texts(properties, "}", "{")
    columns = zip(names, geometry_texts(geometries), members, strict=True)
    return [
        f'{{"type":"Feature","id":{name},"geometry":{shape},"properties":{own}}}'
        for name, shape, own in columns
    ]


def collection(features: Iterable[str], **members: Any) -> str:
    """A FeatureCollection of feature texts, with further members after `type`."""
    further = "".join(f"{_encode(name)}:{_encode(value)}," for name, value in members.items())
    return f'{{"type":"FeatureCollection",{further}"features":[{",".join(features)}]}}'


def _texts(values: Sequence[Any], end: str, start: str) -> list[str]:
    """Each value as JSON; all are encoded in one go, which is several times as fast.

    `end`, `start`: the signs that every value's text ends and starts with.
    """
    parts = _encode_apart(list(values))[1:-1].split(f"{end},\n{start}")
    if len(parts) != len(values):  # a value holds such a seam itself, or there is none at all
        return [_encode(value) for value in values]
    parts[1:] = [start + part for part in parts[1:]]
    parts[:-1] = [part + end for part in parts[:-1]]
    return parts


def _whole(cells: NDArray[np.uint64] | NDArray[np.int64]) -> Geometries:
    """Polygons of the cells; one across the antimeridian goes on past 180 degrees east."""
    if not len(cells):
        return np.empty(0, dtype=np.object_)
    unsigned = np.ascontiguousarray(cells).astype(np.uint64)
    polygons = np.array(shapely.from_wkb(vector.cells_to_wkb_polygons(unsigned).to_numpy()))
    bounds = shapely.bounds(polygons)
    across = bounds[:, 2] - bounds[:, 0] > 180.0
    polygons[across] = shapely.transform(
        polygons[across], lambda xy: np.where(xy < [0.0, -np.inf], xy + _TURN, xy)
    )
    return polygons


def _cut(shape: shapely.Geometry) -> shapely.Geometry:
    """The shape, its part past 180 degrees brought back to the west (RFC 7946, 3.1.9)."""
    if shape.is_empty or shapely.bounds(shape)[2] <= 180.0:
        return shape
    east = shapely.transform(shapely.intersection(shape, _EAST), lambda xy: np.subtract(xy, _TURN))
    return _multi(shapely.intersection(shape, _WEST), east)


def _multi(*shapes: shapely.Geometry) -> shapely.MultiPolygon:
    parts = [part for shape in shapes for part in shapely.get_parts(shape)]
    return shapely.MultiPolygon([p for p in parts if p.geom_type == "Polygon" and not p.is_empty])
