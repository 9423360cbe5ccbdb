"""Zones: small connected sets of cells, disjoint, that together hold the greatest priority."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from app.geo.candidates import candidates_of
from app.geo.grid import Grid
from app.geo.packing import pack
from app.geo.polyhexes import LARGEST

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ZoneParameters:
    """What a zone may be, and how many at most.

    `zone_min_cells`, `zone_max_cells`: at H3 resolution 9 (0.1 km² a cell) 3 to 5 cells are 0.3 to
    0.5 km², a few minutes' walk or drive from end to end; Ratcliffe et al. (2011),
    doi:10.1111/j.1745-9125.2011.00240.x, had foot beats of 15 street corners and 2.1 km of street
    on average. At resolution 10 (0.015 km²) 4 to 8 cells are some blocks around a corner, nearer
    to the hot spots of Sherman and Weisburd (1995), doi:10.1080/07418829500096221, of about one
    block. `max_zones`: what two cars can come back to in a shift; a choice, no finding.
    `search_rounds`: how often the search for a better choice and a lower bound is repeated.
    """

    zone_min_cells: int = 3
    zone_max_cells: int = 5
    max_zones: int = 15
    search_rounds: int = 30

    def __post_init__(self) -> None:
        """Raises ValueError for limits that no zone can meet."""
        if not 1 <= self.zone_min_cells <= self.zone_max_cells <= LARGEST:
            raise ValueError(
                f"zones of {self.zone_min_cells} to {self.zone_max_cells} cells cannot be chosen; "
                f"give 1 <= zone_min_cells <= zone_max_cells <= {LARGEST}"
            )
        if self.max_zones < 0 or self.search_rounds < 1:
            raise ValueError("max_zones must be at least 0 and search_rounds at least 1")


def zone_parameters(resolution: int) -> ZoneParameters:
    """The default limits at an H3 resolution: 3 to 5 cells, 4 to 8 from resolution 10 on."""
    if resolution >= 10:
        return ZoneParameters(zone_min_cells=4, zone_max_cells=8, search_rounds=4)
    return ZoneParameters()


@dataclass(frozen=True)
class Zones:
    """Disjoint zones as sorted index arrays, the greatest priority first.

    `objective`: the sum of their priorities. `bound`: no choice of as many zones within the limits
    of size has more. `gap`: (bound - objective) / bound, 0 where the bound is 0. `spare`: zones
    beside them, the next that more hours would bring.
    """

    zones: tuple[Ints, ...]
    spare: tuple[Ints, ...]
    objective: float
    bound: float

    @property
    def gap(self) -> float:
        """How far the choice may be from the best, as a share of the bound."""
        return (self.bound - self.objective) / self.bound if self.bound > 0.0 else 0.0


def choose_zones(
    priority: Floats, grid: Grid, neighbours: Ints, count: int, parameters: ZoneParameters
) -> Zones:
    """At most `count` zones of great priority, with a bound on the priority of any other choice.

    Beside them spare ones, so that all together are `max_zones` at most.

    `priority` (m,) float64 [expected harm], `neighbours` (m, 6) int64 with -1 outside. Every zone
    is connected, inside the grid and within the limits of size, and has some priority. Where no
    connected part of the grid has `zone_min_cells`, a zone is all of its largest part; beside a
    part that is large enough, smaller ones hold no zone. The same input gives the same zones; of
    equal ones, those of fewer cells, then the first on the lattice. Empty for an empty grid, for no
    priority and for a count of 0.

    Raises ValueError where a priority is negative or not finite, or shapes do not match.
    """
    if priority.shape != grid.cells.shape or neighbours.shape != (len(grid), 6):
        raise ValueError("priority, grid and neighbours are not of one area")
    if not (np.isfinite(priority).all() and (priority >= 0.0).all()):
        raise ValueError("a priority is negative or not a number")
    if not (priority > 0.0).any():
        return Zones((), (), 0.0, 0.0)
    sizes = parameters.zone_min_cells, parameters.zone_max_cells
    candidates = candidates_of(grid, neighbours, *sizes)
    count = min(count, parameters.max_zones)
    spare = parameters.max_zones - count
    found = pack(candidates, priority, count, parameters.search_rounds, spare)
    bound = found.bound
    if not candidates.lattice.complete:  # zones across a seam of the lattice were not looked at
        bound = float(np.sort(priority)[::-1][: count * parameters.zone_max_cells].sum())
    objective = float(sum(priority[zone].sum() for zone in found.zones))
    return Zones(found.zones, found.spare, objective, max(objective, bound))


def zone_id(cells: NDArray[np.uint64]) -> str:
    """A short name of a set of cells: the same for the same cells, whatever their order."""
    ordered = np.sort(np.asarray(cells, dtype=np.uint64)).astype(">u8")
    return "z" + blake2b(ordered.tobytes(), digest_size=6).hexdigest()
