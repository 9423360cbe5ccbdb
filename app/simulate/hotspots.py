"""Planted hot spots: places where more happens, each at its own hours of the week."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Times at which a hot spot is hot: local weekdays (0 = Monday), first hour, hour after the last.
Hot = tuple[tuple[int, ...], int, int]
_WEEK = (0, 1, 2, 3, 4, 5, 6)
_WORKDAYS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class HotSpot:
    """A place where more happens, at its hours.

    `x_m`, `y_m`: its centre along the street axes; `spread_m`: standard deviation of places
    around it; `per_day`: incidents expected in a mean day; `hourly` (168,) float64: incidents
    expected in each local hour of the week from Monday 00:00, summing to 7 × `per_day`;
    `mix`: category to share, summing to 1.
    """

    name: str
    x_m: float
    y_m: float
    spread_m: float
    per_day: float
    hourly: Floats
    mix: Mapping[str, float]


def hourly_of(per_day: float, hot: tuple[Hot, ...], quiet: float = 0.08) -> Floats:
    """Incidents expected per local hour of the week: (168,) float64, summing to 7 × `per_day`.

    1 part in the hours of `hot`, which may run past midnight, and `quiet` parts in all others.
    """
    weight = np.full(168, quiet)
    for days, first, last in hot:
        for day in days:
            weight[(day * 24 + np.arange(first, last)) % 168] = 1.0
    hourly: Floats = weight * (7 * per_day / weight.sum())
    return hourly


def _spot(
    name: str,
    at: tuple[float, float],
    spread_m: float,
    per_day: float,
    hot: tuple[Hot, ...],
    **mix: float,
) -> HotSpot:
    named = {category.replace("_", " "): share for category, share in mix.items()}
    return HotSpot(name, *at, spread_m, per_day, hourly_of(per_day, hot), named)


HOT_SPOTS = (
    _spot(
        "bar strip",
        (-600, 300),
        110,
        5.0,
        (((4, 5), 21, 27),),
        disturbance=0.42,
        assault=0.28,
        mischief=0.14,
        robbery=0.06,
        impaired_driving=0.10,
    ),
    _spot(
        "shopping mall",
        (2_300, 1_900),
        150,
        4.5,
        (((0, 1, 2, 3, 4, 5), 12, 20), ((6,), 12, 17)),
        theft=0.50,
        theft_from_vehicle=0.26,
        collision=0.14,
        disturbance=0.10,
    ),
    _spot(
        "railway station",
        (500, -900),
        90,
        2.8,
        ((_WORKDAYS, 6, 9), (_WORKDAYS, 16, 19)),
        theft=0.40,
        disturbance=0.30,
        robbery=0.12,
        assault=0.18,
    ),
    _spot(
        "market square",
        (-1_500, -500),
        80,
        1.2,
        (((2, 5), 8, 14),),
        theft=0.80,
        disturbance=0.20,
    ),
    _spot(
        "secondary school",
        (-2_500, 2_700),
        130,
        1.2,
        ((_WORKDAYS, 14, 17),),
        disturbance=0.45,
        assault=0.30,
        mischief=0.25,
    ),
    _spot(
        "beach car park",
        (1_700, -2_900),
        120,
        1.4,
        (((5, 6), 11, 19), (_WORKDAYS, 16, 20)),
        theft_from_vehicle=0.75,
        mischief=0.25,
    ),
    _spot(
        "ring-road junction",
        (3_000, -600),
        60,
        1.5,
        ((_WORKDAYS, 7, 9), (_WORKDAYS, 15, 18)),
        collision=1.0,
    ),
    _spot(
        "motel strip",
        (-3_200, -2_400),
        140,
        2.0,
        ((_WEEK, 20, 26),),
        disturbance=0.35,
        assault=0.25,
        drugs=0.25,
        theft_from_vehicle=0.15,
    ),
)
