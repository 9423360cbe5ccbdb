"""How far the seconds of a cell may be from what was observed: the parts of the interval.

Two things are unknown between and at fixes. A unit does not go evenly along the line that is drawn
for it, so each way's seconds in a cell have a variance; these add up. And where a unit stood close
to a border it may have stood beyond it; these seconds are in doubt as a whole.
"""

from dataclasses import dataclass

import numpy as np

from app.geo import lattice
from app.geo.grid import Floats
from app.geo.lattice import EARTH_M, Codes, Plane
from app.geo.ways import Fixes, Indices, Places, Ways
from app.shifts import SECOND_US


@dataclass(frozen=True)
class DoubtParameters:
    """What is taken to be unknown. Choices, set so that simulated and real tracks are covered.

    A way of T seconds with w of them in a cell has there the variance `moving` w (T - w), or
    `leaving` w (T - w) where it begins or ends at a stop, and none between two stops within
    `standing_m`. A way wholly inside may have led out: its standard deviation is `outing` T, less
    by e for each `outing_m` + `outing_mps` T to the border. The interval is `deviations` wide.

    Fixes err by `noise_m` per axis, for `noise_memory_s` in the same direction; a stop's own
    scatter counts against that as much as `noise_fixes` fixes do. A stop whose mean place lies
    within `border_deviations` of its error from a border may be beyond it; otherwise `strays` times
    the share of noisy fixes beyond the border are in doubt. With it goes the time around it, at
    most `around_s` on each side.
    """

    moving: float = 0.5
    leaving: float = 0.7
    standing_m: float = 25.0
    outing: float = 0.25
    outing_m: float = 5.0
    outing_mps: float = 0.5
    deviations: float = 1.96
    noise_m: float = 5.0
    noise_memory_s: float = 30.0
    noise_fixes: float = 4.0
    border_deviations: float = 2.3
    strays: float = 1.7
    around_s: float = 180.0


@dataclass(frozen=True)
class StopDoubts:
    """Seconds of stops that may belong to another cell, each (d,), both int64.

    Of cell `code` (d,) int64 in `chunk` (d,) int64, `less_us` may be too much and `more_us` may be
    missing.
    """

    chunk: Indices
    code: Codes
    less_us: Indices
    more_us: Indices


def variances_s2(
    ways: Ways,
    way: Indices,
    spent_us: Indices,
    places: Places,
    plane: Plane,
    resolution: int,
    parameters: DoubtParameters,
) -> Floats:
    """The variance [s²] of the seconds that a way spends in a cell, for each way and cell: (p,).

    `way` (p,) int64 into `ways`, `spent_us` (p,) int64; `plane` holds the places projected.
    """
    total_s = ways.total_us[way] / SECOND_US
    spent_s = spent_us / SECOND_US
    from_stop = (places.stop[ways.fix] >= 0) & ~ways.later  # stops of another hour are not known
    to_stop = (places.stop[ways.fix + 1] >= 0) & ~(ways.over & ~ways.later)
    part = np.where(from_stop | to_stop, parameters.leaving, parameters.moving)
    variance = part[way] * spent_s * (total_s - spent_s)
    wholly = spent_us == (ways.high_us - ways.low_us)[way]
    stays = np.where(ways.over, from_stop | to_stop, from_stop & to_stop)
    stays &= ways.length_m <= parameters.standing_m
    variance[stays[way]] = 0.0
    inside = np.flatnonzero(wholly & ~stays[way])
    start = ways.fix[way[inside]] + ways.later[way[inside]]
    stop = ways.fix[way[inside]] + ~(ways.over & ~ways.later)[way[inside]]
    room_m = _room_m(np.concatenate([start, stop]), places, plane, resolution)
    reach_m = parameters.outing_m + parameters.outing_mps * spent_s[inside]
    nearest_m = np.minimum(room_m[: len(start)], room_m[len(start) :])
    deviation_s = parameters.outing * spent_s[inside] * np.exp(-nearest_m / reach_m)
    variance[inside] = deviation_s * deviation_s
    return variance


def stop_doubts(
    fixes: Fixes,
    places: Places,
    ways: Ways,
    plane: Plane,
    resolution: int,
    parameters: DoubtParameters,
) -> StopDoubts:
    """What is in doubt because units stood close to borders.

    Source for the share of noisy fixes beyond a border: Lin (1989), Approximating the normal tail
    probability and its inverse for use on a pocket calculator, doi:10.2307/2347681.
    """
    stands = _stands(fixes, places, ways, parameters)
    code, offsets, step_m = _about(stands.fix, places, plane, resolution)
    chunk, less_us = fixes.chunk[stands.fix], np.zeros(len(stands.fix), dtype=np.int64)
    columns = []
    for axis, across in zip(offsets, lattice.ACROSS, strict=True):
        for sign in (1, -1):
            border_m = np.maximum(0.5 - sign * axis, 0.0) * step_m
            off = border_m / stands.scatter_m
            share = parameters.strays * 0.5 * np.exp(-0.717 * off - 0.416 * off * off)
            share = np.where(border_m < parameters.border_deviations * stands.error_m, 1.0, share)
            share = np.minimum(share, 1.0)
            share[share * stands.stood_us < SECOND_US] = 0.0
            less_us += np.rint(share * stands.stood_us).astype(np.int64)
            rows = np.flatnonzero(share)
            more_us = np.rint(share * (stands.stood_us + stands.around_us)).astype(np.int64)
            columns.append((chunk[rows], code[rows] + sign * across, 0 * rows, more_us[rows]))
    rows = np.flatnonzero(less_us)
    less_us = np.minimum(less_us, stands.stood_us)
    columns.append((chunk[rows], code[rows], less_us[rows], 0 * rows))
    return StopDoubts(*(np.concatenate(column) for column in zip(*columns, strict=True)))


@dataclass(frozen=True)
class _Stands:
    """Where units stood, each (k,): a `fix` there; for `stood_us` int64, and `around_us` int64
    more in which they came and went; the errors [m] of fixes and of their mean along one axis.
    """

    fix: Indices
    stood_us: Indices
    around_us: Indices
    scatter_m: Floats
    error_m: Floats


def _stands(fixes: Fixes, places: Places, ways: Ways, parameters: DoubtParameters) -> _Stands:
    """The stops, and the single fixes at which a box fell silent while its unit stood."""
    stop, count = places.stop, len(places.stops)
    inside_us = ways.high_us - ways.low_us
    earlier, later = stop[ways.fix], stop[ways.fix + 1]
    stays = (earlier >= 0) & (earlier == later)
    stood_us = _summed(earlier[stays], inside_us[stays], count)
    near_us = np.minimum(inside_us, int(parameters.around_s * SECOND_US))
    around_us = np.zeros(count, dtype=np.int64)
    for side in (earlier, later):
        beside = (side >= 0) & ~stays & ~ways.over
        around_us += _summed(side[beside], near_us[beside], count)
    scatter_m, error_m = _errors_m(fixes, places, parameters)
    silent = np.flatnonzero((ways.wait_us > 0) & (earlier < 0))
    alone = np.full(len(silent), parameters.noise_m)
    return _Stands(
        np.concatenate([places.stops.first, ways.fix[silent]]),
        np.concatenate([stood_us, np.minimum(ways.wait_us, inside_us)[silent]]),
        np.concatenate([around_us, 0 * silent]),
        np.concatenate([scatter_m, alone]),
        np.concatenate([error_m, alone]),
    )


def _summed(group: Indices, values: Indices, count: int) -> Indices:
    """Sums of whole numbers by group: (count,) int64."""
    return np.bincount(group, values, count).astype(np.int64)  # exact below 2⁵³


def _errors_m(fixes: Fixes, places: Places, parameters: DoubtParameters) -> tuple[Floats, Floats]:
    """By how much [m] a stop's fixes, and its mean place, err along one axis: two (k,) float64."""
    standing = np.flatnonzero(places.stop >= 0)
    stops = places.stops
    off = places.points[:, standing] - fixes.points[:, standing]
    squares = (off * off).sum(axis=0) * (EARTH_M**2 / 2)
    total = np.bincount(places.stop[standing], squares, len(stops))
    number = stops.last - stops.first + 1
    weight = parameters.noise_fixes
    scatter_m2 = (weight * parameters.noise_m**2 + total) / (weight + number - 1)
    stood_us = fixes.time_us[stops.last] - fixes.time_us[stops.first]
    memory = 2 * parameters.noise_memory_s * SECOND_US / np.maximum(stood_us, 1)
    error_m2 = scatter_m2 * np.minimum(1.0, np.maximum(memory, 1.0 / number))
    return np.sqrt(scatter_m2), np.sqrt(error_m2)


def _room_m(fix: Indices, places: Places, plane: Plane, resolution: int) -> Floats:
    """How far [m] each of these fixes is from the border of its cell: (k,) float64."""
    _, offsets, step_m = _about(fix, places, plane, resolution)
    furthest = np.maximum(np.maximum(np.abs(offsets[0]), np.abs(offsets[1])), np.abs(offsets[2]))
    return np.maximum(0.5 - furthest, 0.0) * step_m


def _about(
    fix: Indices, places: Places, plane: Plane, resolution: int
) -> tuple[Codes, tuple[Floats, Floats, Floats], Floats]:
    """The cells of these fixes, their offsets from its centre on three axes, and its size [m]."""
    here = Plane(plane.face[fix], plane.u[fix], plane.v[fix])
    code = lattice.codes_at(here)
    mid_u, mid_v = lattice.centres_of(code)
    u, v = here.u - mid_u, here.v - mid_v
    return code, (u, v, v - u), lattice.step_m(places.points[:, fix], here.face, resolution)
