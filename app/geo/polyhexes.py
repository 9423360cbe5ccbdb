"""Every shape that a small connected set of hexagons can have, as a tree that grows cell by cell.

On a hexagonal lattice there are few fixed shapes: 1, 3, 11, 44, 186, 814, 3,652 and 16,689 of one
to eight cells. Laid on every cell of a district they are all its connected sets, each exactly
once, so the best zone is found by looking at every one of them rather than by guessing.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Steps to the six neighbours in H3's local (i, j) coordinates, whose axes are 120 degrees apart.
STEPS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
LARGEST = 8  # 16,689 shapes; each further cell makes about 4.7 times as many


@dataclass(frozen=True)
class Level:
    """The shapes of `size` cells: each is shape `parent` of the level before plus cell `added`.

    `parent`, `added` (s,) int64; `members` (s, size) int64; cells are rows of `Polyhexes.offsets`.
    """

    size: int
    parent: Ints
    added: Ints
    members: Ints


@dataclass(frozen=True)
class Polyhexes:
    """All fixed shapes up to a size. `offsets` (o, 2) int64: (i, j) from the shape's anchor.

    The anchor is the shape's first cell in order of (j, i), and row 0 of `offsets`.
    """

    offsets: Ints
    levels: tuple[Level, ...]


@lru_cache(maxsize=4)
def polyhexes(size: int) -> Polyhexes:
    """All fixed shapes of 1 to `size` cells.

    Raises ValueError for a size below 1 or above LARGEST.

    Source: Redelmeier (1981), doi:10.1016/0012-365X(81)90237-5, for growing each from its first
    cell; the counts are OEIS A001207.
    """
    if not 1 <= size <= LARGEST:
        raise ValueError(f"zones may have 1 to {LARGEST} cells, not {size}")
    row = {(0, 0): 0}
    shapes = {frozenset({0}): (0, 0)}
    levels = []
    for count in range(1, size + 1):
        levels.append(_level(count, shapes))
        if count < size:
            shapes = _grown(list(shapes), row)
    return Polyhexes(np.array(list(row), dtype=np.int64), tuple(levels))


def _grown(
    shapes: list[frozenset[int]], row: dict[tuple[int, int], int]
) -> dict[frozenset[int], tuple[int, int]]:
    """Shapes with one cell more, each once, with a shape that it grew from and the added cell.

    Never before the anchor in order of (j, i): so that it stays the first, and each set of cells
    is met at one anchor only. New cells are entered in `row`.
    """
    grown: dict[frozenset[int], tuple[int, int]] = {}
    places = list(row)
    for parent, shape in enumerate(shapes):
        for i, j in [places[member] for member in sorted(shape)]:
            for di, dj in STEPS:
                place = (i + di, j + dj)
                if place[1] < 0 or (place[1] == 0 and place[0] <= 0):
                    continue
                added = row.setdefault(place, len(row))
                if added == len(places):
                    places.append(place)
                if added not in shape:
                    grown.setdefault(shape | {added}, (parent, added))
    return grown


def _level(size: int, shapes: dict[frozenset[int], tuple[int, int]]) -> Level:
    origin = np.array(list(shapes.values()), dtype=np.int64)
    members = np.array([sorted(shape) for shape in shapes], dtype=np.int64)
    return Level(size, origin[:, 0].copy(), origin[:, 1].copy(), members)
