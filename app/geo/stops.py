"""Where a unit stood: runs of fixes about one place, snapped to their mean place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Floats
from app.geo.lattice import EARTH_M
from app.shifts import SECOND_US


@dataclass(frozen=True)
class Stops:
    """Runs of fixes during which a unit stood, in order: fixes `first` to `last`, both included.

    Each (k,) int64, positions in the fixes that the runs were found in.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def of_fixes(self, count: int) -> NDArray[np.int64]:
        """The run that each of `count` fixes belongs to: (count,) int64, -1 for none."""
        change = np.zeros(count + 1, dtype=np.int64)
        change[self.first] = 1
        inside = np.cumsum(change)[:count] - 1
        if not len(self):
            return np.full(count, -1, dtype=np.int64)
        return np.where(
            (inside >= 0) & (np.arange(count) <= self.last[np.maximum(inside, 0)]), inside, -1
        )


def distance_m(points: Floats, one: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
    """Straight distance [m] between unit vectors (3, n) at two index arrays: (k,) float64."""
    east, north, up = (axis[one] - axis[other] for axis in points)
    return np.asarray(EARTH_M * np.sqrt(east * east + north * north + up * up))


def stops_of(
    points: Floats,
    time_us: NDArray[np.int64],
    begin: NDArray[np.int64],
    *,
    radius_m: float,
    fewest: int,
    shortest_s: float,
) -> Stops:
    """Runs of at least `fewest` fixes within `radius_m` of their first, lasting `shortest_s`.

    Found greedily in time order inside each chunk of fixes; `begin` (c,) int64 says where the
    chunks start. `points` (3, n) unit vectors, `time_us` (n,) int64. Empty for empty input.

    All chunks advance in lock-step, so that the work is in array operations, as many as the
    longest chunk has fixes.
    """
    count = len(time_us)
    if not count:
        return Stops(np.empty(0, np.int64), np.empty(0, np.int64))
    end = np.append(begin[1:], count)
    start = _promising(points, time_us, begin, radius_m, fewest, shortest_s)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    first = start[begin]
    alive = first < end
    first, end = first[alive], end[alive]
    after = first + fewest  # what lies before is known to be near
    while len(first):
        inside = after < end
        near = np.zeros(len(first), dtype=np.bool_)
        near[inside] = distance_m(points, first[inside], after[inside]) <= radius_m
        long = time_us[after - 1] - time_us[first] >= shortest_s * SECOND_US
        done = ~near & long
        found.append((first[done], after[done] - 1))
        first = np.where(near, first, start[np.where(done, after, first + 1)])
        after = np.where(near, after + 1, first + fewest)
        alive = first < end
        first, after, end = first[alive], after[alive], end[alive]
    runs = np.concatenate([np.stack(pair) for pair in found], axis=1) if found else np.empty((2, 0))
    runs = runs[:, np.argsort(runs[0])].astype(np.int64)
    return Stops(runs[0], runs[1])


def _promising(
    points: Floats,
    time_us: NDArray[np.int64],
    begin: NDArray[np.int64],
    radius_m: float,
    fewest: int,
    shortest_s: float,
) -> NDArray[np.int64]:
    """For each fix the next one, itself included, at which a run could start: (n + 1,) int64.

    A run needs its next fixes near, and the one at which it becomes long enough.
    """
    count = len(time_us)
    chunk_end = np.repeat(np.append(begin[1:], count), np.diff(np.append(begin, count)))
    rows = np.arange(count)
    rows = rows[rows + fewest <= chunk_end]
    for ahead in range(1, fewest):
        rows = rows[distance_m(points, rows, rows + ahead) <= radius_m]
    following = np.full(count + 1, count, dtype=np.int64)
    following[rows] = rows
    return np.minimum.accumulate(following[::-1])[::-1]


def means(points: Floats, stops: Stops) -> Floats:
    """The mean place of each run's fixes: (3, k) unit vectors."""
    size = stops.last - stops.first + 1
    run = np.repeat(np.arange(len(stops)), size)
    ahead = np.cumsum(size) - size
    fix = np.arange(len(run)) - np.repeat(ahead - stops.first, size)
    # bincount adds in order, so that a run's mean does not depend on what else is in the batch
    places = np.stack([np.bincount(run, axis[fix], minlength=len(stops)) for axis in points])
    return np.asarray(places / np.sqrt((places * places).sum(axis=0)))
