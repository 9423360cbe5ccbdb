"""What happens in the town: at hot spots, in the background, and in a burglary wave."""

from dataclasses import fields
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from app.shifts import DAY_US, HOUR_US, SECOND_US, zone
from app.simulate.harrow_bay import TIMEZONE, Town, stream
from app.simulate.hotspots import hourly_of
from app.simulate.records import BURGLARY, CATEGORIES, Happened, Records, recorded
from app.simulate.streets import Streets, in_town, onto_streets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BACKGROUND, WAVE = -1, -2  # origins that are no hot spot
BACKGROUND_PER_DAY = 18.0
WAVE_PER_DAY = 1.5
NEAR_REPEATS = 0.7  # burglaries that one of the wave draws after it, on average
NEAR_REPEAT_DAYS, NEAR_REPEAT_M = 4.0, 80.0
WAVE_SPREAD_M, WAVE_STEP_DAYS = 220.0, 21  # it wanders from one place to the next in that time
LATEST_DAYS = 14 + 4  # a near-repeat is at most 14 days later, on record within 4 more

BACKGROUND_MIX = {
    "theft": 0.18,
    "theft from vehicle": 0.20,
    "break and enter": 0.10,
    "mischief": 0.16,
    "assault": 0.08,
    "disturbance": 0.14,
    "collision": 0.08,
    "alarm": 0.06,
}


def incidents(town: Town, from_us: int, to_us: int) -> Records:
    """The records that became known in `[from_us, to_us)`, whatever the time of the incidents.

    The same for one long interval as for the intervals it is made of: each UTC day has its own
    chance. Empty for an empty interval.
    """
    first, last = from_us // DAY_US - LATEST_DAYS, to_us // DAY_US
    homes = _homes(town.streets)
    days = [_day(town, day, homes) for day in range(first, last + 1)]
    columns = (np.concatenate([getattr(d, c.name) for d in days]) for c in fields(Records))
    records = Records(*columns)
    order = np.lexsort((records.incident_id, records.reported_at_us))
    known = records.reported_at_us[order]
    return records.take(order[(known >= from_us) & (known < to_us)])


def hours_of_week(day: int) -> Ints:
    """The local hour of the week at each UTC hour of a day since 1970: (24,) int64, Monday 0."""
    where = zone(TIMEZONE)
    hours = (datetime.fromtimestamp((day * 24 + h) * 3600, where) for h in range(24))
    return np.array([moment.weekday() * 24 + moment.hour for moment in hours])


def _day(town: Town, day: int, homes: tuple[Floats, Floats, Floats]) -> Records:
    """The records of what has its cause in one UTC day."""
    rng = stream(town.seed, "day", day)
    what = _at_spots(town, day, rng)
    for more in (_background(town, day, rng, homes), _wave(town, day, rng, homes)):
        what = Happened(*(np.concatenate(pair) for pair in zip(what, more, strict=True)))
    return recorded(town, day, what, rng)


def _at_spots(town: Town, day: int, rng: np.random.Generator) -> Happened:
    spots = town.hot_spots
    # Some weeks are busier than others, each place for itself.
    level = np.exp(0.25 * stream(town.seed, "week", day // 7).standard_normal(len(spots)) - 0.03)
    rate = np.array([spot.hourly for spot in spots])[:, hours_of_week(day)]
    origin, hour = _counted(rng.poisson(rate * level[:, None]))
    mixes = np.array([[spot.mix.get(name, 0.0) for name in CATEGORIES] for spot in spots])
    centre = np.array([(spot.x_m, spot.y_m) for spot in spots])[origin]
    spread_m = np.array([spot.spread_m for spot in spots])[origin]
    x_m, y_m = _scattered(town.streets, centre, spread_m, rng)
    return Happened(_within(day, hour, rng), x_m, y_m, _picked(mixes[origin], rng), origin)


def _background(
    town: Town, day: int, rng: np.random.Generator, homes: tuple[Floats, Floats, Floats]
) -> Happened:
    rate = _BACKGROUND_HOURLY[hours_of_week(day)]
    origin, hour = _counted(rng.poisson(rate)[None, :])
    x, y, chance = homes
    at = np.searchsorted(chance, rng.random(len(hour)))
    centre = np.column_stack([x[at], y[at]])
    x_m, y_m = _scattered(town.streets, centre, np.full(len(hour), 90.0), rng)
    mix = np.array([[BACKGROUND_MIX.get(name, 0.0) for name in CATEGORIES]])
    kind = _picked(np.repeat(mix, len(hour), axis=0), rng)
    return Happened(_within(day, hour, rng), x_m, y_m, kind, origin + BACKGROUND)


def _wave(
    town: Town, day: int, rng: np.random.Generator, homes: tuple[Floats, Floats, Floats]
) -> Happened:
    """Burglaries around a centre that wanders, each drawing others near to it days later."""
    front = np.array(wave_centre(town, day, homes))
    _, hour = _counted(rng.poisson(_WAVE_HOURLY[hours_of_week(day)])[None, :])
    centre = np.repeat(front[None, :], len(hour), axis=0)
    x_m, y_m = _scattered(town.streets, centre, np.full(len(hour), WAVE_SPREAD_M), rng)
    time_us = _within(day, hour, rng)
    cause = np.repeat(np.arange(len(hour)), rng.poisson(NEAR_REPEATS, len(hour)))
    lag_days = np.minimum(rng.exponential(NEAR_REPEAT_DAYS, len(cause)) + 0.5, 14.0)
    near = np.column_stack([x_m[cause], y_m[cause]])
    x_2, y_2 = _scattered(town.streets, near, np.full(len(cause), NEAR_REPEAT_M), rng)
    later_us = time_us[cause] + (lag_days * DAY_US).astype(np.int64)
    all_us = np.concatenate([time_us, later_us])
    return Happened(
        all_us,
        np.concatenate([x_m, x_2]),
        np.concatenate([y_m, y_2]),
        np.full(len(all_us), BURGLARY),
        np.full(len(all_us), WAVE),
    )


def wave_centre(
    town: Town, day: int, homes: tuple[Floats, Floats, Floats] | None = None
) -> tuple[float, float]:
    """Where the burglary wave stands on a UTC day since 1970, along the street axes [m]."""
    x, y, chance = homes or _homes(town.streets)
    step, into = divmod(day, WAVE_STEP_DAYS)
    ends = [
        int(np.searchsorted(chance, stream(town.seed, "wave", k).random()))
        for k in (step, step + 1)
    ]
    done = into / WAVE_STEP_DAYS
    return (
        float(x[ends[0]] * (1 - done) + x[ends[1]] * done),
        float(y[ends[0]] * (1 - done) + y[ends[1]] * done),
    )


def _homes(streets: Streets) -> tuple[Floats, Floats, Floats]:
    """Junctions on land and the cumulative chance of each: half even, half toward the centre."""
    x, y = (axis.ravel() for axis in np.meshgrid(streets.x_m, streets.y_m))
    x, y = x[in_town(streets, x, y)], y[in_town(streets, x, y)]
    central = np.exp(-(x**2 + y**2) / (2 * 1_500.0**2))
    chance = np.cumsum(0.5 / len(x) + 0.5 * central / central.sum())
    return x, y, chance / chance[-1]


def _scattered(
    streets: Streets, centre: Floats, spread_m: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A place on a street near each centre (n, 2), on land: x, y [m], each (n,)."""
    xy = np.zeros((2, len(centre)))
    todo = np.arange(len(centre))
    while len(todo):
        drawn = centre[todo].T + rng.standard_normal((2, len(todo))) * spread_m[todo]
        xy[:, todo] = onto_streets(streets, drawn[0], drawn[1], rng.random(len(todo)) < 0.5)
        xy[:, todo] += rng.normal(0.0, 8.0, (2, len(todo)))  # houses stand beside the street
        todo = todo[~in_town(streets, xy[0, todo], xy[1, todo])]
    return xy[0], xy[1]


def _counted(counts: Ints) -> tuple[Ints, Ints]:
    """Row and column of every single event of a table of counts: two (n,) int64."""
    row, column = np.nonzero(counts)
    times = counts[row, column]
    return np.repeat(row, times), np.repeat(column, times)


def _within(day: int, hour: Ints, rng: np.random.Generator) -> Ints:
    """A moment in each of those hours of the day, to the second [µs UTC]."""
    second = rng.integers(0, 3600, len(hour))
    moments: Ints = day * DAY_US + hour * HOUR_US + second * SECOND_US
    return moments


def _picked(mixes: Floats, rng: np.random.Generator) -> Ints:
    """A column drawn for each row of shares that sum to 1: (n,) int64."""
    below = np.cumsum(mixes, axis=1) < rng.random(len(mixes))[:, None]
    columns: Ints = np.minimum(below.sum(axis=1), mixes.shape[1] - 1)
    return columns


_WAVE_HOURLY = hourly_of(WAVE_PER_DAY, (((0, 1, 2, 3, 4), 9, 16),), quiet=0.02)
_BACKGROUND_HOURLY = np.tile(1.0 + 0.75 * np.sin((np.arange(24) - 11.0) / 24 * 2 * np.pi), 7)
_BACKGROUND_HOURLY *= 7 * BACKGROUND_PER_DAY / _BACKGROUND_HOURLY.sum()
