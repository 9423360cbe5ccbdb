"""The best zone at every place of a district: all its small connected sets of cells at once.

A district's cells are laid on H3's local lattice, where each shape of `polyhexes` is a fixed set
of offsets. The value of a shape everywhere is the value of the shape it grew from plus one shifted
column, so a quarter of a million zones of a city are valued in about a millisecond.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import h3ronpy
import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Grid
from app.geo.polyhexes import STEPS, Level, Polyhexes, polyhexes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_AT_ONCE = 1_500_000  # sums held at a time: 12 MB, about what a processor's cache keeps near


@dataclass(frozen=True)
class Lattice:
    """Cells on a raster of H3's local coordinates, with an empty margin around.

    `raster` (h * width,) int64: the cell there, m where none. `place` (m,) int64: where a cell
    lies, -1 for one that fits on no plane lattice (next to one of H3's twelve pentagons).
    `complete`: whether every pair of neighbours also are neighbours on the raster.
    """

    raster: Ints
    place: Ints
    width: int
    complete: bool

    def at(self, cells: Ints, offsets: Ints) -> Ints:
        """The cells at offsets (o, 2) from `cells` (n,): (o, n) int64, m where there is none."""
        shift = offsets[:, 0] + offsets[:, 1] * self.width
        return self.raster[self.place[cells][None, :] + shift[:, None]]


def lattice_of(grid: Grid, neighbours: Ints, margin: int) -> Lattice:
    """The lattice of a grid. `neighbours` (m, 6) int64, -1 outside; `margin` in cells.

    Cells that H3 cannot relate to the first go onto a lattice of their own beside it.
    """
    size = len(grid)
    column, row, width = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64), margin
    left = np.arange(size)
    while len(left):
        i, j, placed = _local(grid.cells[left], grid.cells[left[len(left) // 2]])
        now = left[placed]
        column[now] = i[placed] - i[placed].min() + width
        row[now] = j[placed] - j[placed].min() + margin
        width = int(column[now].max()) + 1 + margin
        left = left[~placed]
    raster = np.full((int(row.max(initial=0)) + 1 + margin) * width, size, dtype=np.int64)
    place = column + row * width
    raster[place] = np.arange(size)
    return _checked(Lattice(raster, place, width, True), neighbours)


def _local(cells: NDArray[np.uint64], origin: np.uint64) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Local (i, j) from `origin`, and whether H3 could give them. The origin itself always can."""
    found = h3ronpy.cells_to_localij(cells, int(origin), set_failing_to_invalid=True)
    i, j = (
        np.array(found[name].to_pylist() if found[name].null_count else found[name].to_numpy())
        for name in ("i", "j")
    )
    placed = np.array([place is not None for place in i.tolist()])
    return np.where(placed, i, 0).astype(np.int64), np.where(placed, j, 0).astype(np.int64), placed


def _checked(lattice: Lattice, neighbours: Ints) -> Lattice:
    """The lattice without the cells that it puts beside cells that are not their neighbours."""
    size = len(neighbours)
    beside = lattice.at(np.arange(size), np.array(STEPS, dtype=np.int64)).T
    beside = np.sort(np.where(beside == size, -1, beside), axis=1)
    if np.array_equal(beside, np.sort(neighbours, axis=1)):
        return lattice
    true = (beside[:, :, None] == neighbours[:, None, :]).any(axis=2) | (beside < 0)
    wrong = np.flatnonzero(~true.all(axis=1))
    raster, place = lattice.raster.copy(), lattice.place.copy()
    raster[place[wrong]] = size
    place[wrong] = -1
    return Lattice(raster, place, lattice.width, False)


@dataclass(frozen=True)
class Candidates:
    """All connected zones of `least` to `most` cells of a grid of `size` cells.

    `reach` (o, m) int64: the cell at each of the shapes' offsets from each cell, `size` for none.
    """

    size: int
    least: int
    most: int
    shapes: Polyhexes
    lattice: Lattice
    reach: Ints

    def best_values(self, value: Floats, anchors: Ints | None = None) -> Floats:
        """The value of the best zone at each anchor, the zone's first cell: -inf for none.

        `value` (m,) float64 may be negative, and -inf where no zone may lie. `anchors` (a,) int64,
        every cell where None. Answers (a,).
        """
        reach = self.reach if anchors is None else self.reach[:, anchors]
        best = np.full(reach.shape[1], -np.inf)
        for part, _, sums in self._sums(value, reach):
            np.maximum(best[part], sums.max(axis=0), out=best[part])
        return best

    def best_zones(self, value: Floats, anchors: Ints) -> Ints:
        """The cells of the best zone at each anchor: (a, most) int64, -1 where it has fewer.

        Of equal ones that with fewest cells, then the first shape. Meant for few anchors.
        """
        best = np.full(len(anchors), -np.inf)
        cells = np.full((len(anchors), self.most), -1, dtype=np.int64)
        reach = self.reach[:, anchors]
        for part, level, sums in self._sums(value, reach):
            shape = sums.argmax(axis=0)
            top = sums[shape, np.arange(sums.shape[1])]
            better = np.flatnonzero(top > best[part])
            row = part.start + better
            best[row] = top[better]
            cells[row] = -1
            cells[row, : level.size] = reach[level.members[shape[better]].T, row].T
        return cells

    @property
    def at_once(self) -> int:
        """How many anchors it pays to value in one go."""
        return min(256, max(16, _AT_ONCE // len(self.shapes.levels[-1].parent)))

    def ceilings(self, value: Floats) -> Floats:
        """What no zone at an anchor can be worth more than, found quickly: (m,).

        The sum of the anchor's own value and of the largest positive ones within reach.
        `value` as for `best_values`.
        """
        extended = np.append(value, -np.inf)
        others = self.most - 1
        near = np.maximum(extended[self.reach[1:]], 0.0)
        if 0 < others < len(near):
            near = np.partition(near, len(near) - others, axis=0)[-others:]
        best: Floats = extended[self.reach[0]] + near.sum(axis=0)
        return best

    def touching(self, cells: Ints) -> Ints:
        """The anchors at which some zone may hold one of these cells: sorted (a,) int64."""
        found = np.unique(self.lattice.at(cells, -self.shapes.offsets))
        return found[found < self.size]

    def _sums(self, value: Floats, reach: Ints) -> Iterator[tuple[slice, Level, Floats]]:
        """The values of all shapes of a size (s, n) at a run of anchors, for every run and size."""
        extended = np.append(value, -np.inf)
        levels = self.shapes.levels
        for start in range(0, reach.shape[1], self.at_once):
            part = slice(start, start + self.at_once)
            near = extended[reach[:, part]]
            sums = near[:1]
            for level in levels:
                if level.size > 1:
                    sums = sums[level.parent]
                    sums += near[level.added]
                if level.size >= self.least:
                    yield part, level, sums


def candidates_of(grid: Grid, neighbours: Ints, least: int, most: int) -> Candidates:
    """The candidate zones of a grid; `neighbours` (m, 6) int64 with -1 outside.

    Where no part of the grid holds `least` cells, its largest parts are what there is: `least`
    shrinks to them. Small islands beside a part that is large enough hold no zone.
    Raises ValueError unless 1 <= least <= most <= the largest size of `polyhexes`.
    """
    if not 1 <= least <= most:
        raise ValueError(f"a zone of {least} to {most} cells cannot be")
    shapes = polyhexes(most)
    lattice = lattice_of(grid, neighbours, margin=most)
    cells = np.arange(len(grid))
    reach = lattice.at(cells, shapes.offsets)
    reach[:, lattice.place < 0] = len(grid)
    least = min(least, largest_part(neighbours)) if len(grid) else least
    return Candidates(len(grid), least, most, shapes, lattice, reach)


def largest_part(neighbours: Ints) -> int:
    """The number of cells of the largest connected part; 0 for no cells."""
    part = np.arange(len(neighbours) + 1)  # the last stands for "no neighbour", alone
    while True:
        lowest = np.minimum(part[:-1], part[neighbours].min(axis=1, initial=len(neighbours)))
        lowest = np.append(lowest, len(neighbours))
        lowest = lowest[lowest]  # to the lowest of the lowest: parts are found in few rounds
        if np.array_equal(lowest, part):
            return int(np.bincount(part[:-1]).max(initial=0))
        part = lowest
