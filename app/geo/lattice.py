"""H3's own plane: on a face of its icosahedron every cell is a regular hexagon of one lattice.

H3 projects each of 20 faces gnomonically, so that great circles become straight lines, and takes
the nearest point of a hexagonal lattice. Working in that plane gives the cell of a point, and the
cells that a straight path crosses, in closed form with a few array operations and no look-ups;
only the distinct cells found are turned into H3 indexes.

Source: Uber (2018), H3 geospatial indexing system, coordinate systems; Sahr, White and Kimerling
(2003), Geodesic discrete global grid systems, doi:10.1559/152304003100011090.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import asin, cos, sin, sqrt

import h3.api.numpy_int as h3
import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Cells, Floats, cells_at

Codes = NDArray[np.int64]

EARTH_M = 6_371_007.18  # radius of the sphere that H3 uses

_CENTRE_TO_VERTEX = 2.0  # lattice steps from a face's centre to its corner at resolution 0
_APERTURE = 7.0  # each resolution has seven times the cells of the one before
_ODD_TURN = -asin(sqrt(3.0 / 28.0))  # odd resolutions are turned by this angle [rad]
_HALF = 1 << 28  # makes lattice coordinates positive
_Q = 1 << 29  # code = face << 58 | q << 29 | r
_FACE_SHIFT = 58
# Steps to the neighbours across the edges normal to the three axes u, v, w, as code differences.
ACROSS = np.array([_Q, 1, 1 - _Q], dtype=np.int64)


@dataclass(frozen=True)
class Plane:
    """Points in the plane of their face, each (n,): `face` int8; `u`, `v` float64.

    `u`, `v` are projections on the lattice directions at 0 and 60 degrees, neighbouring cells
    being 1 apart; that at 120 degrees is w = v - u. A cell is what lies within ±1/2 of its centre
    in all three.
    """

    face: NDArray[np.int8]
    u: Floats
    v: Floats


@dataclass(frozen=True)
class _Faces:
    """The faces' centres and in-plane axes as unit vectors, each (20, 3), and their size."""

    centre: Floats
    ahead: Floats
    left: Floats
    corner: float


def unit_vectors(lat: Floats, lon: Floats) -> Floats:
    """Points on the unit sphere: (3, n) float64 from degrees."""
    north, east = np.radians(lat), np.radians(lon)
    ring = np.cos(north)
    return np.stack([ring * np.cos(east), ring * np.sin(east), np.sin(north)])


def project(points: Floats, resolution: int) -> Plane:
    """Unit vectors (3, n) in the plane of the nearest face."""
    face = np.full(points.shape[1], -1, dtype=np.int8)
    plane = Plane(face, np.empty(len(face)), np.empty(len(face)))
    rest = np.arange(len(face))
    while len(rest):  # usually once: a city lies on one face
        here = points if len(rest) == len(face) else points[:, rest]
        nearest = int(np.argmax([_along(centre, here[:, :1])[0] for centre in _faces().centre]))
        inside = _on_face(here, nearest)
        rows = rest[inside]
        u, v = on_face(here[:, inside], nearest, resolution)
        face[rows], plane.u[rows], plane.v[rows] = nearest, u, v
        rest = rest[~inside]
    return plane


def on_face(points: Floats, face: int, resolution: int) -> tuple[Floats, Floats]:
    """The coordinates `u`, `v` of unit vectors (3, n) in the plane of a given face."""
    faces, scale, turn = _faces(), *_scale_and_turn(resolution)
    right = cos(turn) * faces.ahead[face] - sin(turn) * faces.left[face]
    up = sin(turn) * faces.ahead[face] + cos(turn) * faces.left[face]
    away = scale / _along(faces.centre[face], points)
    return (
        _along(right, points) * away,
        _along(right / 2 + up * (sqrt(3) / 2), points) * away,
    )


def step_m(points: Floats, face: NDArray[np.int8], resolution: int) -> Floats:
    """The mean distance [m] between neighbouring cells at unit vectors (3, n): (n,) float64.

    The plane stretches lengths by 1/cos² of the angle from the face's centre along the radius and
    by 1/cos across it; this is the geometric mean.
    """
    scale, _ = _scale_and_turn(resolution)
    cosine = np.empty(len(face))
    for one in np.unique(face):
        rows = face == one
        cosine[rows] = _along(_faces().centre[one], points[:, rows])
    return EARTH_M / scale * cosine * np.sqrt(cosine)


def share_at_edge(
    start: Floats, stop: Floats, from_face: NDArray[np.int8], to_face: NDArray[np.int8]
) -> Floats:
    """The share of straight ways between unit vectors (3, n) at which they change face: (n,)."""
    centre = _faces().centre
    axis = (centre[from_face] - centre[to_face]).T
    before, after = _along(axis, start), _along(axis, stop)
    whole = before - after
    return np.clip(before / np.where(whole == 0, 1.0, whole), 0.0, 1.0)


def codes_at(plane: Plane) -> Codes:
    """The cell of each point as a lattice code: (n,) int64, equal where the cell is the same."""
    r = (4 * plane.v - 2 * plane.u) / 3
    q = plane.u - r / 2
    s = -q - r
    near_q, near_r, near_s = np.rint(q), np.rint(r), np.rint(s)
    off_q, off_r, off_s = np.abs(near_q - q), np.abs(near_r - r), np.abs(near_s - s)
    fix_q = (off_q > off_r) & (off_q > off_s)
    fix_r = ~fix_q & (off_r > off_s)
    near_q, near_r = (
        np.where(fix_q, -near_r - near_s, near_q),
        np.where(fix_r, -near_q - near_s, near_r),
    )
    high = (plane.face.astype(np.int64) << _FACE_SHIFT) + _HALF * (_Q + 1)
    return high + near_q.astype(np.int64) * _Q + near_r.astype(np.int64)


def centres_of(codes: Codes) -> tuple[Floats, Floats]:
    """The coordinates `u`, `v` of the cells' centres in their faces' planes."""
    q = ((codes >> 29) & (_Q - 1)) - _HALF
    r = (codes & (_Q - 1)) - _HALF
    return q + r / 2, q / 2 + r


def halves(codes: Codes) -> tuple[Codes, Codes]:
    """Two small numbers that together sort like the codes: rows of the lattice, places in a row."""
    return codes >> 29, codes & (_Q - 1)


def cells_of(codes: Codes, resolution: int) -> Cells:
    """The H3 cells of lattice codes: (n,) uint64."""
    faces, scale, turn = _faces(), *_scale_and_turn(resolution)
    u, v = centres_of(codes)
    x, y = u / scale, (2 * v - u) / sqrt(3) / scale
    ahead, left = cos(turn) * x + sin(turn) * y, cos(turn) * y - sin(turn) * x
    face = codes >> _FACE_SHIFT
    points = (
        faces.centre[face] + ahead[:, None] * faces.ahead[face] + left[:, None] * faces.left[face]
    )
    points /= np.linalg.norm(points, axis=1)[:, None]
    lat = np.degrees(np.arcsin(points[:, 2]))
    return cells_at(lat, np.degrees(np.arctan2(points[:, 1], points[:, 0])), resolution)


def one_code_each(codes: Codes, resolution: int) -> Codes:
    """The codes with those of one cell made equal: a cell on an edge has one for each face."""
    if not len(codes) or codes.min() >> _FACE_SHIFT == codes.max() >> _FACE_SHIFT:
        return codes
    distinct, which = np.unique(codes, return_inverse=True)
    _, first, same = np.unique(
        cells_of(distinct, resolution), return_index=True, return_inverse=True
    )
    return np.asarray(distinct[first][same][which])


def _on_face(points: Floats, face: int) -> NDArray[np.bool_]:
    """Whether no other face's centre is nearer."""
    centre = _faces().centre
    nearby = np.argsort(centre @ centre[face])[-4:-1]  # the three that share an edge
    inside = np.ones(points.shape[1], dtype=np.bool_)
    for other in nearby:
        inside &= _along(centre[face] - centre[other], points) >= 0
    return inside


def _along(axis: Floats, points: Floats) -> Floats:
    """Scalar products with (3, n) points, written out: a matrix product may round a point's
    differently in another batch, and results must be the same to the last bit.
    """
    return np.asarray(axis[0] * points[0] + axis[1] * points[1] + axis[2] * points[2])


def _scale_and_turn(resolution: int) -> tuple[float, float]:
    """Lattice steps per unit of the gnomonic plane, and the lattice's turn [rad]."""
    scale = _CENTRE_TO_VERTEX / _faces().corner * _APERTURE ** (resolution / 2)
    return scale, _ODD_TURN if resolution % 2 else 0.0


@cache
def _faces() -> _Faces:
    """The faces from their corners: H3's twelve pentagons, three of which bound each face."""
    places = np.array([h3.cell_to_latlng(int(cell)) for cell in h3.get_pentagons(0)])
    corners = unit_vectors(places[:, 0], places[:, 1]).T
    near = corners @ corners.T
    trios = [t for t in combinations(range(12), 3) if all(near[p] > 0 for p in combinations(t, 2))]
    centre = np.array([corners[list(trio)].sum(axis=0) for trio in trios])
    centre /= np.linalg.norm(centre, axis=1)[:, None]
    first = corners[[trio[0] for trio in trios]]
    height = np.sum(first * centre, axis=1)
    ahead = first - height[:, None] * centre
    width = np.linalg.norm(ahead, axis=1)
    ahead /= width[:, None]
    return _Faces(centre, ahead, np.cross(centre, ahead), float(np.mean(width / height)))
