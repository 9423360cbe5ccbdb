"""The coordinate reference systems that are spoken, and coordinates from one to another."""

from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG4326 = "http://www.opengis.net/def/crs/EPSG/0/4326"
EPSG3857 = "http://www.opengis.net/def/crs/EPSG/0/3857"
ALL = (CRS84, EPSG4326, EPSG3857)
DECIMALS = {CRS84: 6, EPSG4326: 6, EPSG3857: 2}  # about 0.1 m and 1 cm
_PLACES = {EPSG4326: "EPSG:4326", EPSG3857: "EPSG:3857"}


def from_crs84(shapes: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    """Shapes (n,) in lon, lat as they are written in another system, its order of axes included."""
    if crs == CRS84:
        return shapes
    return _moved(shapes, _way(crs), DECIMALS[crs])


def to_crs84(shape: shapely.Geometry, crs: str) -> shapely.Geometry:
    """A shape written in a system, in lon, lat. May hold infinity where it lies outside of it."""
    if crs == CRS84:
        return shape
    turned = _way(crs)
    inverse = pyproj.enums.TransformDirection.INVERSE
    return shapely.transform(
        shape, lambda xy: np.stack(turned.transform(xy[:, 0], xy[:, 1], direction=inverse), axis=1)
    )


def _moved(shapes: NDArray[np.object_], way: Any, decimals: int) -> NDArray[np.object_]:
    moved: NDArray[np.object_] = shapely.transform(
        shapes,
        lambda xy: np.round(np.stack(way.transform(xy[:, 0], xy[:, 1]), axis=1), decimals) + 0.0,
    )
    return moved


@lru_cache
def _way(crs: str) -> Any:
    # Not always_xy: axes stand in the order that the system has, so 4326 is lat before lon.
    return pyproj.Transformer.from_crs("OGC:CRS84", _PLACES[crs])
