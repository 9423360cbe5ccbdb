"""A street grid in metres along its own axes, its place on the earth, and ways through it."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Streets:
    """Straight streets that cross at right angles; a bay takes the far corner.

    `x_m` (p,), `y_m` (q,) float64: where streets run along the other axis, ascending. The axes
    are turned by `turn_deg` against east and north about `lat`, `lon` [deg]. No street lies where
    x > `bay_x_m` and y < `bay_y_m`. `edge_m`: the town reaches this far from its centre.
    """

    x_m: Floats
    y_m: Floats
    edge_m: float
    bay_x_m: float
    bay_y_m: float
    lat: float
    lon: float
    turn_deg: float


def degrees(streets: Streets, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
    """Latitude and longitude [deg] of points given along the street axes [m]: two (n,) float64.

    An affine map, so that straight ways stay straight; lengths are right to a few centimetres
    in a kilometre. Source: series for a degree's length on WGS 84, National Geospatial-Intelligence
    Agency (2014), NGA.STND.0036 §4.
    """
    turn, lat = np.radians(streets.turn_deg), np.radians(streets.lat)
    east = x_m * np.cos(turn) - y_m * np.sin(turn)
    north = x_m * np.sin(turn) + y_m * np.cos(turn)
    per_lat = 111_132.954 - 559.822 * np.cos(2 * lat) + 1.175 * np.cos(4 * lat)
    per_lon = 111_412.84 * np.cos(lat) - 93.5 * np.cos(3 * lat)
    return streets.lat + north / per_lat, streets.lon + east / per_lon


def in_town(streets: Streets, x_m: Floats, y_m: Floats) -> NDArray[np.bool_]:
    """Whether points lie within the town and not in the bay: (n,) bool."""
    near = (np.abs(x_m) < streets.edge_m) & (np.abs(y_m) < streets.edge_m)
    return near & ~((x_m > streets.bay_x_m) & (y_m < streets.bay_y_m))


def outline(streets: Streets, from_x_m: float, to_x_m: float) -> shapely.Polygon:
    """The part of the town between two lines across it, as a polygon (x = lon, y = lat) [deg]."""
    edge, bay_x, bay_y = streets.edge_m, streets.bay_x_m, streets.bay_y_m
    land = shapely.difference(
        shapely.box(-edge, -edge, edge, edge), shapely.box(bay_x, -edge, edge, bay_y)
    )
    part = shapely.intersection(land, shapely.box(from_x_m, -edge, to_x_m, edge))
    corners = np.array(shapely.get_coordinates(part.normalize()))
    lat, lon = degrees(streets, corners[:, 0], corners[:, 1])
    return shapely.Polygon(np.column_stack([np.round(lon, 6), np.round(lat, 6)]))


def nearest_corner(streets: Streets, x_m: float, y_m: float) -> tuple[int, int]:
    """The junction nearest to a point, as positions in `x_m` and `y_m`; never one in the bay."""
    i, j = int(np.abs(streets.x_m - x_m).argmin()), int(np.abs(streets.y_m - y_m).argmin())
    if in_town(streets, streets.x_m[i : i + 1], streets.y_m[j : j + 1])[0]:
        return i, j
    return i, int(np.searchsorted(streets.y_m, streets.bay_y_m, side="left"))


def onto_streets(streets: Streets, x_m: Floats, y_m: Floats, along_x: NDArray[np.bool_]) -> Floats:
    """Points moved onto their nearest street: (2, n) float64 [m].

    `along_x` (n,): whether onto a street that runs along x; else onto one that runs along y.
    """
    onto_x = streets.x_m[_nearest(streets.x_m, x_m)]
    onto_y = streets.y_m[_nearest(streets.y_m, y_m)]
    return np.stack([np.where(along_x, x_m, onto_x), np.where(along_x, onto_y, y_m)])


def way(
    streets: Streets, start: tuple[int, int], goal: tuple[int, int], x_first: bool
) -> tuple[Ints, Ints]:
    """The junctions of a way with one turn, start left out: two (k,) int64, empty where there.

    It turns the other way round where it would lead through the bay.
    """
    (i, j), (k, m) = start, goal
    turn = (k, j) if x_first else (i, m)
    if not in_town(streets, streets.x_m[turn[0] : turn[0] + 1], streets.y_m[turn[1] : turn[1] + 1]):
        x_first = not x_first
    columns, rows = _steps(i, k), _steps(j, m)
    if x_first:
        return (
            np.concatenate([columns, np.full(len(rows), k)]),
            np.concatenate([np.full(len(columns), j), rows]),
        )
    return (
        np.concatenate([np.full(len(rows), i), columns]),
        np.concatenate([rows, np.full(len(columns), m)]),
    )


def _steps(start: int, goal: int) -> Ints:
    step = 1 if goal > start else -1
    return np.arange(start + step, goal + step, step, dtype=np.int64)


def _nearest(lines: Floats, values: Floats) -> Ints:
    """The position of the nearest of ascending lines: (n,) int64."""
    middles = (lines[1:] + lines[:-1]) / 2
    return np.searchsorted(middles, values)
