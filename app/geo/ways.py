"""What a unit did between two fixes: observed or not, where it stood, and for how long."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Floats
from app.geo.lattice import unit_vectors
from app.geo.order import changes
from app.geo.stops import StopParameters, Stops, distance_m, means, stops_of
from app.shifts import HOUR_US, SECOND_US

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class WayParameters:
    """How the time between two fixes is read. All are choices.

    A gap is observed up to `near_gap_s` where its ends lie within `near_m`, and otherwise up to
    `moving_gap_s` where the speed is at most `fastest_mps`. Unobserved gaps are counted up to
    `silence_s`; longer ones belong to no hour.
    """

    near_m: float = 60.0
    near_gap_s: float = 900.0
    moving_gap_s: float = 180.0
    fastest_mps: float = 55.0
    silence_s: float = 1500.0


@dataclass(frozen=True)
class Fixes:
    """Kept pings of whole units in order of unit and time, in chunks of one unit and UTC hour.

    `unit`, `time_us` (n,) int64; `points` (3, n) float64 unit vectors; `chunk` (n,) int64, which
    chunk each is in; `begin` (c,) int64, each chunk's first fix.
    """

    unit: Indices
    time_us: Indices
    points: Floats
    chunk: Indices
    begin: Indices

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Places:
    """Where units were: `points` (3, n), the fixes with those of a stop moved to its mean place.

    `stop` (n,) int64: which of `stops` each belongs to, -1 for none.
    """

    points: Floats
    stop: Indices
    stops: Stops


@dataclass(frozen=True)
class Ways:
    """Time between fixes, a row for each UTC hour that it lies in, in order of time, each (k,).

    `fix` int64, the earlier of the two fixes; `chunk` int64; `total_us` int64, from fix to fix;
    the row's part of it is `low_us` to `high_us`. `seen`: whether it was observed. `over`: whether
    it leads into another hour, so that its other end counts as measured and not as placed; `later`:
    whether the row is the part in that other hour. The unit stands for the first `wait_us` and the
    last `linger_us` and goes `length_m` in between.
    """

    fix: Indices
    chunk: Indices
    total_us: Indices
    low_us: Indices
    high_us: Indices
    seen: Mask
    over: Mask
    later: Mask
    wait_us: Indices
    linger_us: Indices
    length_m: Floats

    def __len__(self) -> int:
        return len(self.fix)

    def take(self, index: Mask | Indices) -> "Ways":
        """The rows that a mask or an index array selects."""
        return Ways(*(getattr(self, column.name)[index] for column in fields(self)))


def fixes_of(unit: Indices, time_us: Indices, lat: Floats, lon: Floats) -> Fixes:
    """Fixes from kept pings sorted by unit and time, [deg]."""
    hour = time_us // HOUR_US
    new = changes(unit, hour)
    return Fixes(unit, time_us, unit_vectors(lat, lon), np.cumsum(new) - 1, np.flatnonzero(new))


def places_of(fixes: Fixes, parameters: StopParameters) -> Places:
    """Where the fixes were, once the noise of standing is averaged out, hour by hour."""
    stops = stops_of(fixes.points, fixes.time_us, fixes.begin, parameters)
    stop = stops.of_fixes(len(fixes))
    standing = np.flatnonzero(stop >= 0)
    points = fixes.points.copy()
    points[:, standing] = means(fixes.points, stops)[:, stop[standing]]
    return Places(points, stop, stops)


def ways_of(fixes: Fixes, places: Places, parameters: WayParameters) -> Ways:
    """The ways between a unit's consecutive fixes that are at most `silence_s` apart.

    Time is observed where the unit stayed near, or where the gap is short and the speed possible.
    Across an hour's end both fixes count as measured: what is placed depends on one hour alone.
    """
    fix = np.flatnonzero(
        (fixes.unit[1:] == fixes.unit[:-1])
        & (np.diff(fixes.time_us) <= parameters.silence_s * SECOND_US)
    )
    total_us = fixes.time_us[fix + 1] - fixes.time_us[fix]
    over = fixes.chunk[fix] != fixes.chunk[fix + 1]
    length_m = distance_m(fixes.points, fix, fix + 1)
    # Between two stops of a unit that creeps, the way from mean to mean is too long.
    placed_m = distance_m(places.points, fix, fix + 1)
    length_m = np.where(over, length_m, np.minimum(length_m, placed_m))
    total_s = total_us / SECOND_US
    near = (length_m <= parameters.near_m) & (total_s <= parameters.near_gap_s)
    brief = total_s <= parameters.moving_gap_s
    seen = near | (brief & (length_m <= parameters.fastest_mps * total_s))
    from_stop, to_stop = places.stop[fix] >= 0, places.stop[fix + 1] >= 0
    # A box silent for longer than when moving stood, and reports once it has left.
    from_stop |= ~brief & ~to_stop
    wait_us, linger_us = _standing_us(fix, seen & ~over, total_us, length_m, from_stop, to_stop)
    whole = Ways(
        fix, fixes.chunk[fix], total_us, np.zeros_like(fix), total_us, seen, over,
        np.zeros_like(over), wait_us, linger_us, length_m,
    )  # fmt: skip
    return _split_at_hours(whole, fixes)


def _standing_us(
    fix: Indices,
    within: Mask,
    total_us: Indices,
    length_m: Floats,
    from_stop: Mask,
    to_stop: Mask,
) -> tuple[Indices, Indices]:
    """How long a unit that leaves a stop still stands, and one that comes to a stop already does.

    It is taken to go at the pace of the way that follows (or went before), if that is faster than
    an even pace from fix to fix would be.
    """
    pace = np.where(within, length_m / total_us, 0.0)  # [m/µs]
    joined = np.zeros(len(fix) + 1, dtype=np.bool_)
    joined[1:-1] = fix[1:] == fix[:-1] + 1
    after = np.where(joined[1:], np.append(pace[1:], 0.0), 0.0)
    before = np.where(joined[:-1], np.append(0.0, pace[:-1]), 0.0)
    standing = []
    for here, there, other in ((from_stop, to_stop, after), (to_stop, from_stop, before)):
        late = within & here & ~there & (other > pace)
        going_us = length_m / np.where(late, other, 1.0)
        standing.append(np.where(late, total_us - np.rint(going_us).astype(np.int64), 0))
    return standing[0], standing[1]


def _split_at_hours(ways: Ways, fixes: Fixes) -> Ways:
    """Ways over an hour's end as two rows, one in each hour."""
    row = np.repeat(np.arange(len(ways)), 1 + ways.over)
    later = ~changes(row)
    split = ways.take(row)
    start_us = fixes.time_us[split.fix]
    end_us = (start_us // HOUR_US + 1) * HOUR_US - start_us
    return replace(
        split,
        chunk=np.where(later, fixes.chunk[split.fix + 1], split.chunk),
        low_us=np.where(later, end_us, 0),
        high_us=np.where(split.over & ~later, end_us, split.total_us),
        later=later,
    )
