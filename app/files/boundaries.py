"""Boundaries from any format that GDAL reads, as valid areas in WGS 84."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import shapely
from pyogrio.errors import DataSourceError

from app.checks import UNIT_ID_RULE, is_unit_id
from app.errors import BadInput

# Which attribute names a district where nobody says so: the first of these that is there.
ID_FIELDS = ("id", "district", "district_id", "beat", "code", "name")
NAME_FIELDS = ("name", "label", "district")


@dataclass(frozen=True)
class Boundary:
    """An area with its id and name; `geometry` in lon, lat, valid."""

    id: str
    name: str
    geometry: shapely.MultiPolygon


def read_districts(
    path: Path, id_field: str | None = None, name_field: str | None = None
) -> list[Boundary]:
    """The polygons of a file, in its order, with their ids and names.

    Polygons that cross themselves are repaired. Without `id_field` and `name_field` they are the
    attributes that are commonly called so. Raises BadInput where the file cannot be read, has no
    polygon or something else among them, or where an id is missing, unusable or there twice.
    """
    frame = _read(path)
    fields = [str(name) for name in frame.columns if name != frame.geometry.name]
    id_name = _field(id_field, ID_FIELDS, fields, "--id-field")
    label = _field(name_field, NAME_FIELDS, fields, "--name-field", otherwise=id_name)
    ids = [_text(value) for value in frame[id_name]]
    _refuse_ids(ids, id_name)
    names = [_text(value) or ids[k] for k, value in enumerate(frame[label])]
    areas = [area_of(shape, f"district {ids[k]}") for k, shape in enumerate(frame.geometry)]
    return [Boundary(*row) for row in zip(ids, names, areas, strict=True)]


def read_area(path: Path) -> shapely.MultiPolygon:
    """All polygons of a file as one area. Raises BadInput as `read_districts` does."""
    shapes = [area_of(shape, f"feature {k}") for k, shape in enumerate(_read(path).geometry)]
    return _polygons(shapely.union_all(shapes))


def area_of(shape: shapely.Geometry | None, what: str) -> shapely.MultiPolygon:
    """A valid area of one or more polygons; what repairing leaves besides polygons is dropped.

    Raises BadInput for anything else, and for what is empty.
    """
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon"):
        kind = "without geometry" if shape is None else f"a {shape.geom_type}"
        raise BadInput(f"{what} is {kind}; it must be a polygon")
    area = _polygons(shapely.make_valid(shapely.force_2d(shape)))
    if area.is_empty or not area.area:
        raise BadInput(f"{what} is an empty polygon")
    return area


def _read(path: Path) -> geopandas.GeoDataFrame:
    """The features of a file in WGS 84; there is at least one."""
    if not path.exists():
        raise BadInput(f"there is no file {path}")
    try:
        frame = geopandas.read_file(f"/vsigzip/{path.absolute()}" if path.suffix == ".gz" else path)
    except (DataSourceError, ValueError) as error:
        raise BadInput(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.geometry.isna().all():
        raise BadInput(f"{path.name} holds no polygons")
    if frame.crs is None:
        frame = frame.set_crs("EPSG:4326")
    frame = frame.to_crs("EPSG:4326")
    west, south, east, north = frame.total_bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BadInput(f"{path.name} is not in degrees, and does not say in what else it is")
    return frame


def _polygons(shape: shapely.Geometry) -> shapely.MultiPolygon:
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def _field(
    wanted: str | None,
    usual: Sequence[str],
    fields: Sequence[str],
    option: str,
    otherwise: str | None = None,
) -> str:
    """The attribute to take: the one that is wanted, else one that is commonly called so."""
    if wanted is not None:
        if wanted not in fields:
            raise BadInput(f"there is no attribute {wanted!r} among {', '.join(fields) or 'none'}")
        return wanted
    by_name = {name.lower(): name for name in reversed(fields)}
    found = next((by_name[name] for name in usual if name in by_name), otherwise)
    if found is None:
        raise BadInput(
            f"say {option}, one of {', '.join(fields) or 'none: there are no attributes'}"
        )
    return found


def _text(value: Any) -> str:
    """An attribute as text: whole numbers without a fraction, nothing for nothing."""
    if value is None or value != value:
        return ""
    return (
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    )


def _refuse_ids(ids: Sequence[str], field: str) -> None:
    for k, text in enumerate(ids):
        if not is_unit_id(text) or "/" in text:
            raise BadInput(f"feature {k} has the {field} {text!r}; an id {UNIT_ID_RULE}, and no /")
    twice = {text for text in ids if ids.count(text) > 1}
    if twice:
        raise BadInput(f"{field} {min(twice)!r} stands there twice; say another --id-field")
