"""The lines along which ways lead: straight, or bent where the ways before and after say so."""

from dataclasses import dataclass

import numpy as np

from app.geo.grid import Floats
from app.geo.lattice import EARTH_M
from app.geo.ways import Fixes, Indices, Places, Ways

LEGS = 4  # straight lines that a bent way is made of
_FURTHEST = 4 / 27  # f (1 - f)², the weight of a bend, is at most this


@dataclass(frozen=True)
class LegParameters:
    """How far ways bend. All are choices, made on simulated and real tracks.

    A fix is passed at `bend` times the mean velocity of the ways before and after it (1 is a
    Catmull-Rom spline), if neither took more than `uneven` times as long as the other: boxes that
    report at turns and stops draw their own lines. Ways that bend by less than `straight_m` are
    straight.
    """

    bend: float = 0.85
    uneven: float = 1.25
    straight_m: float = 3.0


@dataclass(frozen=True)
class Legs:
    """The straight lines that ways are made of, of each way 1 or LEGS, in order, each (l,).

    `way` int64; `start`, `stop` int64 into `points` (3, p), which need not have unit length;
    `begin`, `end` float64: when, as a share of the time that the unit goes.
    """

    way: Indices
    start: Indices
    stop: Indices
    begin: Floats
    end: Floats
    points: Floats


def legs_of(fixes: Fixes, places: Places, ways: Ways, parameters: LegParameters) -> Legs:
    """The legs of observed ways.

    A bent way is a cubic Hermite curve in place and time, so that it also takes over the pace of
    its neighbours; at a stop it begins or ends at rest. Ways over an hour's end are straight.
    Source: Catmull and Rom (1974), A class of local interpolating splines.
    """
    run, at_start, at_end = _bends(fixes, places, ways, parameters)
    off = np.maximum((at_start * at_start).sum(axis=0), (at_end * at_end).sum(axis=0))
    bent = np.flatnonzero(np.sqrt(off) * (EARTH_M * _FURTHEST) > parameters.straight_m)
    count = np.ones(len(ways), dtype=np.int64)
    count[bent] = LEGS
    way = np.repeat(np.arange(len(ways)), count)
    number = np.arange(len(way)) - np.repeat(np.cumsum(count) - count, count)
    points, start, stop = _ends(fixes, places, ways)
    share = (np.arange(1, LEGS) / LEGS)[None, :, None]
    between = (
        places.points[:, None, ways.fix[bent]]
        + share * run[:, None, bent]
        + share * (1 - share) ** 2 * at_start[:, None, bent]
        - share**2 * (1 - share) * at_end[:, None, bent]
    )
    first_leg = np.cumsum(count) - count
    leg_start, leg_stop = start[way], stop[way]
    for k in range(LEGS - 1):
        joint = points.shape[1] + k * len(bent) + np.arange(len(bent))
        leg_stop[first_leg[bent] + k] = joint
        leg_start[first_leg[bent] + k + 1] = joint
    return Legs(
        way,
        leg_start,
        leg_stop,
        number / count[way],
        (number + 1) / count[way],
        np.concatenate([points, between.reshape(3, -1)], axis=1),
    )


def _bends(
    fixes: Fixes, places: Places, ways: Ways, parameters: LegParameters
) -> tuple[Floats, Floats, Floats]:
    """Each way's run from place to place, and by how much its velocity (times its duration)
    departs from that at its start and at its end: three (3, k).
    """
    run = places.points[:, ways.fix + 1] - places.points[:, ways.fix]
    going = (ways.total_us - ways.wait_us - ways.linger_us).astype(np.float64)
    joined = np.zeros(len(ways) + 1, dtype=np.bool_)
    joined[1:-1] = (ways.fix[1:] == ways.fix[:-1] + 1) & ~ways.over[1:] & ~ways.over[:-1]
    ratio = ways.total_us[1:] / ways.total_us[:-1]
    joined[1:-1] &= (ratio <= parameters.uneven) & (ratio >= 1 / parameters.uneven)
    ratio = going[1:] / going[:-1]
    before, after = np.zeros_like(run), np.zeros_like(run)
    before[:, 1:] = run[:, :-1] * ratio
    after[:, :-1] = run[:, 1:] / ratio
    sides = []
    for other, has_other, fix, stood in (
        (before, joined[:-1], ways.fix, ways.wait_us > 0),
        (after, joined[1:], ways.fix + 1, ways.linger_us > 0),
    ):
        stands = places.stop[fix] >= 0
        passing = np.where(stands, 0.0, (parameters.bend / 2) * (other + run)) - run
        sides.append(np.where(ways.over | stood | ~has_other, 0.0, passing))
    return run, sides[0], sides[1]


def _ends(fixes: Fixes, places: Places, ways: Ways) -> tuple[Floats, Indices, Indices]:
    """Points, and where ways start and stop in them.

    A row of a way over an hour's end uses the place of its own hour's fix, and the other as
    measured.
    """
    start, stop = ways.fix.copy(), ways.fix + 1
    over = np.flatnonzero(ways.over)
    later = ways.later[over]
    measured = np.where(later, ways.fix[over], ways.fix[over] + 1)
    extra = len(fixes) + np.arange(len(over))
    start[over[later]] = extra[later]
    stop[over[~later]] = extra[~later]
    return np.concatenate([places.points, fixes.points[:, measured]], axis=1), start, stop
