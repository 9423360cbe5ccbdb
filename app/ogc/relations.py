"""Spatial conditions: boxes, and the relations of CQL2."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import shapely
from sqlalchemy import ColumnElement, LargeBinary, and_, func, literal, not_, or_

from app.errors import BadInput
from app.ogc import crs
from app.ogc.operands import Operands
from app.ogc.query import Box, boxes_of
from app.store.sources import Source

Condition = ColumnElement[bool]

_RELATIONS = {
    "s_intersects": ("intersects", "ST_Intersects"),
    "s_disjoint": ("disjoint", "ST_Disjoint"),
    "s_equals": ("equals", "ST_Equals"),
    "s_touches": ("touches", "ST_Touches"),
    "s_within": ("within", "ST_Within"),
    "s_overlaps": ("overlaps", "ST_Overlaps"),
    "s_crosses": ("crosses", "ST_Crosses"),
    "s_contains": ("contains", "ST_Contains"),
}
_TURNED = {"s_within": "s_contains", "s_contains": "s_within"}


def in_boxes(boxes: Sequence[Box], source: Source, sqlite: bool) -> Condition:
    """Rows that have a point in common with a box, and those that have no geometry."""
    parts = [_in_box(box, source, sqlite) for box in boxes]
    return or_(source.geometry.is_(None), *parts)


def related(name: str, args: list[Any], operands: Operands, system: str) -> Condition:
    """A spatial relation of CQL2 between the geometry and one that is written. Raises BadInput."""
    if name not in _RELATIONS or len(args) != 2:
        _refuse(
            f"there is no {name[:40]!r} with {len(args)} arguments; use {', '.join(_RELATIONS)}"
        )
    if operands.is_geometry(args[1]):
        name, args = _TURNED.get(name, name), [args[1], args[0]]
    if not operands.is_geometry(args[0]):
        _refuse(f"{name} has the property geometry on one side")
    shape = _shape(args[1], system)
    if shape.geom_type != "GeometryCollection":
        return _relation(name, shape, operands.source, operands.sqlite)
    if name not in ("s_intersects", "s_disjoint"):
        _refuse(f"{name} takes no geometry collection")
    parts = shapely.get_parts(shape)
    met = or_(*(_relation("s_intersects", p, operands.source, operands.sqlite) for p in parts))
    return met if name == "s_intersects" else not_(met)


def _in_box(box: Box, source: Source, sqlite: bool) -> Condition:
    shape = _box(box)
    if source.bounds is None:
        return _relation("s_intersects", shape, source, sqlite)
    near = _overlap(box, source)
    if source.points:
        return near
    west, south, east, north = source.bounds
    inside = and_(west >= box[0], east <= box[2], south >= box[1], north <= box[3])
    return and_(near, or_(inside, _exactly("s_intersects", shape, source, sqlite)))


def _relation(name: str, shape: shapely.Geometry, source: Source, sqlite: bool) -> Condition:
    exact = _exactly(name, shape, source, sqlite)
    if name == "s_disjoint" or source.bounds is None:
        return exact
    return and_(_overlap(shapely.bounds(shape).tolist(), source), exact)


def _exactly(name: str, shape: shapely.Geometry, source: Source, sqlite: bool) -> Condition:
    ours, theirs = _RELATIONS[name]
    wkb = literal(shapely.to_wkb(shape), LargeBinary)
    if sqlite:
        found: Condition = getattr(func, f"spatial_{ours}")(source.geometry, wkb) == 1
    else:
        found = getattr(func, theirs)(source.geometry, func.ST_GeomFromWKB(wkb, 4326))
    return found


def _overlap(box: Sequence[float], source: Source) -> Condition:
    assert source.bounds is not None  # noqa: S101  asked only where there are bounds
    west, south, east, north = source.bounds
    return and_(west <= box[2], east >= box[0], south <= box[3], north >= box[1])


def _shape(node: Any, system: str) -> shapely.Geometry:
    """A geometry that is written in a filter, in degrees. Raises BadInput."""
    if isinstance(node, dict) and isinstance(node.get("bbox"), list):
        parts = [_box(box) for box in boxes_of([float(n) for n in node["bbox"]], system)]
        return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    if not isinstance(node, dict) or not {"coordinates", "geometries"} & node.keys():
        _refuse("a geometry is written as POINT(1 2), as another geometry of WKT, or as BBOX")
    try:
        shape = shapely.force_2d(shapely.from_geojson(json.dumps(node)))
    except (shapely.errors.GEOSException, ValueError, RecursionError) as error:
        raise BadInput("the filter cannot be used: a geometry cannot be read") from error
    shape = crs.to_crs84(shape, system)
    west, south, east, north = shapely.bounds(shape)
    if not np.isfinite([west, south, east, north]).all():
        _refuse("a geometry is empty or lies outside of its reference system")
    if west < -180 or east > 180 or south < -90 or north > 90:
        _refuse("a geometry has longitudes within ±180 degrees and latitudes within ±90")
    if not shapely.is_valid(shape):
        _refuse(f"a geometry is not valid: {shapely.is_valid_reason(shape)[:100]}")
    return shape


def _box(box: Box) -> shapely.Geometry:
    """A box as a shape; one without extent is a line or a point."""
    west, south, east, north = box
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    if west == east and south == north:
        return shapely.Point(west, south)
    return shapely.LineString([(west, south), (east, north)])


def _refuse(reason: str) -> NoReturn:
    raise BadInput(f"the filter cannot be used: {reason}")
