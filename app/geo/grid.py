"""H3 cells as sorted vectors: the one shared axis on which every per-cell quantity is an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h3ronpy
import numpy as np
import shapely
from h3ronpy import vector
from numpy.typing import NDArray

Cells = NDArray[np.uint64]
Floats = NDArray[np.float64]

_RESOLUTION_SHIFT = 52  # bits 52 to 55 of an H3 index hold its resolution
_DIGIT_BITS = 3  # one digit per resolution, filled with 7 below the cell's own
_FINEST = 15
_BASE_SHIFT = 45  # bits 45 to 51 hold the base cell
_PENTAGON_BASES = np.array([4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117], dtype=np.uint64)


@dataclass(frozen=True)
class Grid:
    """The cells of one area at one H3 resolution: `cells` (m,) uint64, sorted; centres [deg]."""

    resolution: int
    cells: Cells
    lat: Floats
    lon: Floats

    def __len__(self) -> int:
        return len(self.cells)


def cells_at(lat: Floats, lon: Floats, resolution: int) -> Cells:
    """The H3 cell of each point: (n,) uint64, 0 where a coordinate is not finite or out of range.

    `lat`, `lon` (n,) [deg]. Empty for empty input.
    """
    lat = np.ascontiguousarray(lat, dtype=np.float64)
    lon = np.ascontiguousarray(lon, dtype=np.float64)
    good = on_earth(lat, lon)
    if good.all():
        return _array(vector.coordinates_to_cells(lat, lon, resolution), np.uint64)
    cells = np.zeros(len(lat), dtype=np.uint64)
    cells[good] = _array(vector.coordinates_to_cells(lat[good], lon[good], resolution), np.uint64)
    return cells


def on_earth(lat: Floats, lon: Floats) -> NDArray[np.bool_]:
    """Whether a point is finite and within ±90, ±180 [deg]: (n,) bool."""
    return (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)  # NaN compares as false


def centres(cells: Cells) -> tuple[Floats, Floats]:
    """Latitude and longitude [deg] of the cells' centres: two (n,) float64."""
    if not len(cells):
        return np.empty(0), np.empty(0)
    points = vector.cells_to_coordinates(np.ascontiguousarray(cells, dtype=np.uint64))
    return _array(points["lat"], np.float64), _array(points["lng"], np.float64)


def grid_from(cells: Cells, resolution: int) -> Grid:
    """The grid of the given cells, sorted, each once."""
    cells = np.unique(np.asarray(cells, dtype=np.uint64))
    return Grid(resolution, cells, *centres(cells))


def grid_of(polygon: shapely.Geometry, resolution: int) -> Grid:
    """The grid of all cells whose centre lies inside a polygon (x = lon, y = lat) [deg].

    Any polygon or multipolygon; an invalid one is made valid first, and one that reaches past
    ±180 degrees is folded back. Empty where no centre lies inside.
    """
    shape = shapely.make_valid(polygon)
    near: list[Cells] = []
    for west in (-180.0, 180.0, -540.0):
        part = _moved(shapely.intersection(shape, shapely.box(west, -90, west + 360, 90)), west)
        near.append(_inside(part, resolution))
    return grid_from(np.concatenate(near), resolution)


def index_of(grid: Grid, cells: Cells) -> NDArray[np.int64]:
    """Each cell's position on the grid's axis: (n,) int64, -1 outside the grid."""
    cells = np.asarray(cells, dtype=np.uint64)
    if not len(grid):
        return np.full(cells.shape, -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(grid.cells, cells), len(grid) - 1)
    return np.where(grid.cells[at] == cells, at, -1)


def neighbours(grid: Grid) -> NDArray[np.int64]:
    """Positions of the cells that share an edge: (m, 6) int64, in ascending order of cell.

    -1 where a neighbour is outside the grid, and in the last column of a pentagon.
    """
    return index_of(grid, neighbour_cells(grid.cells).ravel()).reshape(-1, 6)


def neighbour_cells(cells: Cells) -> Cells:
    """The cells that share an edge with each: (n, 6) uint64, ascending; 0 last for a pentagon."""
    if not len(cells):
        return np.empty((0, 6), dtype=np.uint64)
    disks = h3ronpy.grid_disk(np.ascontiguousarray(cells, dtype=np.uint64), 1, flatten=True)
    flat = _array(disks, np.uint64)
    counts = np.where(_pentagons(cells), 6, 7)
    origin = np.repeat(np.arange(len(cells)), counts)
    flat, origin = flat[flat != cells[origin]], origin[flat != cells[origin]]
    order = np.lexsort((flat, origin))
    column = np.arange(len(flat)) - np.repeat(np.cumsum(counts - 1) - (counts - 1), counts - 1)
    found = np.zeros((len(cells), 6), dtype=np.uint64)
    found[origin, column] = flat[order]
    return found


def parents(cells: Cells, resolution: int) -> Cells:
    """The cells of a coarser (or the same) resolution that hold each cell: (n,) uint64.

    Raises ValueError where a cell is coarser than `resolution`.
    """
    cells = np.asarray(cells, dtype=np.uint64)
    if len(cells) and int(resolutions(cells).min()) < resolution:
        raise ValueError(f"a cell is coarser than resolution {resolution} and has no parent there")
    kept = ~np.uint64(0xF << _RESOLUTION_SHIFT)
    filled = np.uint64((1 << _DIGIT_BITS * (_FINEST - resolution)) - 1)
    return (cells & kept) | np.uint64(resolution << _RESOLUTION_SHIFT) | filled


def resolutions(cells: Cells) -> NDArray[np.int64]:
    """The H3 resolution of each cell: (n,) int64."""
    cells = np.asarray(cells, dtype=np.uint64)
    return ((cells >> np.uint64(_RESOLUTION_SHIFT)) & np.uint64(0xF)).astype(np.int64)


def area_km2(cells: Cells) -> Floats:
    """The area of each cell: (n,) float64 [km²]."""
    if not len(cells):
        return np.empty(0)
    return _array(h3ronpy.cells_area_km2(np.ascontiguousarray(cells, dtype=np.uint64)), np.float64)


def to_text(cells: Cells) -> list[str]:
    """H3 indexes as the usual hexadecimal strings."""
    distinct, which = np.unique(np.asarray(cells, dtype=np.uint64), return_inverse=True)
    texts = np.array([f"{cell:x}" for cell in distinct.tolist()], dtype=object)
    return list(texts[which].tolist())


def from_text(cells: Sequence[str]) -> Cells:
    """H3 strings as (n,) uint64. Raises ValueError for text that is no cell."""
    if not len(cells):
        return np.empty(0, dtype=np.uint64)
    return _array(h3ronpy.cells_parse(list(cells)), np.uint64)


def _inside(shape: shapely.Geometry, resolution: int) -> Cells:
    """Cells whose centre lies in a valid shape within ±180 degrees; lines and points hold none."""
    parts = shapely.get_parts(shapely.get_parts(shape))  # a collection may hold multipolygons
    areas = [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]
    if not areas:
        return np.empty(0, dtype=np.uint64)
    whole = shapely.MultiPolygon(areas)
    mode = h3ronpy.ContainmentMode.Covers
    near = vector.wkb_to_cells([shapely.to_wkb(whole)], resolution, mode, flatten=True)
    cells = np.unique(_array(near, np.uint64))
    lat, lon = centres(cells)
    shapely.prepare(whole)
    inside: NDArray[np.bool_] = shapely.contains_xy(whole, lon, lat)
    return cells[inside]


def _moved(shape: shapely.Geometry, west: float) -> shapely.Geometry:
    """The shape moved by whole turns so that `west` comes to lie at -180."""
    if west == -180.0:
        return shape
    return shapely.transform(shape, lambda xy: xy - [west + 180.0, 0.0])


def _pentagons(cells: Cells) -> NDArray[np.bool_]:
    """Whether a cell has five neighbours: its base cell is one of twelve and all digits are 0."""
    base = (cells >> np.uint64(_BASE_SHIFT)) & np.uint64(0x7F)
    digits = cells & np.uint64((1 << _BASE_SHIFT) - 1)
    unused = _DIGIT_BITS * (_FINEST - resolutions(cells))
    used = digits >> unused.astype(np.uint64)
    return np.asarray(np.isin(base, _PENTAGON_BASES) & (used == 0))


def _array(values: Any, dtype: type[Any]) -> NDArray[Any]:
    """An arrow array as a numpy array of our own."""
    return np.array(values.to_numpy(), dtype=dtype)
