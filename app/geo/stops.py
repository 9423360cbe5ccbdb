"""Where a unit stood: runs of fixes about one place, snapped to their mean place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Floats
from app.geo.lattice import EARTH_M
from app.shifts import SECOND_US

Indices = NDArray[np.int64]


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


@dataclass(frozen=True)
class StopParameters:
    """When a unit stands: within `radius_m` of a first fix, for `seconds` and at least `fixes`
    fixes, or for `pair_seconds` and two. All are choices.
    """

    radius_m: float = 25.0
    fixes: int = 3
    seconds: float = 20.0
    pair_seconds: float = 100.0


def stops_of(points: Floats, time_us: Indices, begin: Indices, parameters: StopParameters) -> Stops:
    """Stops found greedily in time order inside each chunk of fixes.

    `points` (3, n) unit vectors, `time_us` (n,) int64; `begin` (c,) int64, where chunks start.
    Empty for empty input. All chunks advance in lock-step, so that the work is in array
    operations, as many as the longest chunk has fixes.
    """
    chunk_end = np.append(begin, len(time_us))[1:]
    start = _promising(points, time_us, np.repeat(chunk_end, chunk_end - begin), parameters)
    found = [np.empty((2, 0), dtype=np.int64)]
    first, end = start[begin], chunk_end
    after = first + 2  # a stop's second fix is known to be near
    while True:
        alive = first < end
        first, after, end = first[alive], after[alive], end[alive]
        if not len(first):
            break
        inside = np.flatnonzero(after < end)
        near = np.zeros(len(first), dtype=np.bool_)
        near[inside] = distance_m(points, first[inside], after[inside]) <= parameters.radius_m
        stood_s = (time_us[after - 1] - time_us[first]) / SECOND_US
        long = (after - first >= parameters.fixes) & (stood_s >= parameters.seconds)
        done = ~near & (long | (stood_s >= parameters.pair_seconds))
        found.append(np.stack([first[done], after[done] - 1]))
        first = np.where(near, first, start[np.where(done, after, first + 1)])
        after = np.where(near, after + 1, first + 2)
    runs = np.concatenate(found, axis=1)
    return Stops(*runs[:, np.argsort(runs[0])])


def _promising(
    points: Floats, time_us: Indices, chunk_end: Indices, parameters: StopParameters
) -> Indices:
    """For each fix the next one, itself included, at which a stop could start: (n + 1,) int64.

    A stop needs its second fix near, a third unless the second came late, and the one at which it
    becomes long enough.
    """
    count = len(chunk_end)
    rows = np.flatnonzero(np.arange(count) + 1 < chunk_end)
    rows = rows[distance_m(points, rows, rows + 1) <= parameters.radius_m]
    late = time_us[rows + 1] - time_us[rows] >= parameters.pair_seconds * SECOND_US
    three = np.flatnonzero(rows + 2 < chunk_end[rows])
    late[three] |= distance_m(points, rows[three], rows[three] + 2) <= parameters.radius_m
    rows = rows[late]
    until = _first_after(time_us, chunk_end, rows, int(parameters.seconds * SECOND_US))
    inside = until < chunk_end[rows]
    rows, until = rows[inside], until[inside]
    rows = rows[distance_m(points, rows, until) <= parameters.radius_m]
    following = np.full(count + 1, count, dtype=np.int64)
    following[rows] = rows
    return np.minimum.accumulate(following[::-1])[::-1]


def _first_after(time_us: Indices, chunk_end: Indices, rows: Indices, later_us: int) -> Indices:
    """The first fix of each row's chunk that is so much later, or one beyond the chunk: (k,)."""
    until = rows + 1
    soon = np.flatnonzero(time_us[until] - time_us[rows] < later_us)
    if len(soon):  # only for boxes that report every few seconds
        new = np.append(True, chunk_end[1:] != chunk_end[:-1])
        since_us = time_us - time_us[np.flatnonzero(new)][np.cumsum(new) - 1]
        key = since_us + chunk_end * (int(since_us.max()) + later_us + 1)  # ascending throughout
        until[soon] = np.searchsorted(key, key[rows[soon]] + later_us)
    return until


def means(points: Floats, stops: Stops) -> Floats:
    """The mean place of each run's fixes: (3, k) unit vectors."""
    size = stops.last - stops.first + 1
    run = np.repeat(np.arange(len(stops)), size)
    ahead = np.cumsum(size) - size
    fix = np.arange(len(run)) - np.repeat(ahead - stops.first, size)
    # bincount adds in order, so that a run's mean does not depend on what else is in the batch
    places = np.stack([np.bincount(run, axis[fix], minlength=len(stops)) for axis in points])
    return np.asarray(places / np.sqrt((places * places).sum(axis=0)))
