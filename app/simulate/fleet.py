"""The true ways of all cars, what their boxes reported of them, and both as they go on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.shifts import HOUR_US
from app.simulate.boxes import Reporting
from app.simulate.driver import OFF_DUTY, Track
from app.simulate.harrow_bay import Town, stream
from app.simulate.receiver import Reports, merged, report
from app.simulate.roster import tours

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BACKLOG_US = HOUR_US  # a report arrives at most this long after its fix


@dataclass(frozen=True)
class Paths:
    """True motion as straight pieces (n,), sorted by unit and time, that tile an interval.

    `unit` int64, a position in the town's units; `start_us`, `end_us` int64 [µs UTC]; from
    `x_m`, `y_m` to `to_x_m`, `to_y_m` [m along the street axes] at constant speed; `activity`
    int8 indexes ACTIVITIES. Off duty a car stands at the station.
    """

    unit: Ints
    start_us: Ints
    end_us: Ints
    x_m: Floats
    y_m: Floats
    to_x_m: Floats
    to_y_m: Floats
    activity: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.unit)


def patrol(town: Town, from_us: int, to_us: int) -> Paths:
    """The true motion of every car in `[from_us, to_us)`, each tiling all of it. Empty if empty."""
    return paths_of(town, tours(town, from_us, to_us), from_us, to_us)


def paths_of(town: Town, tracks: list[Track], from_us: int, to_us: int) -> Paths:
    """Tours cut to an interval, with the time between them spent at the station, off duty."""
    rows: list[tuple[Ints, ...]] = []
    home_x, home_y = (town.streets.x_m[town.station[0]], town.streets.y_m[town.station[1]])
    for unit in range(len(town.units)):
        mine = [track for track in tracks if track.unit == unit]
        time_us = np.concatenate([[from_us], *(track.time_us for track in mine), [to_us]])
        x_m = np.concatenate([[home_x], *(track.x_m for track in mine), [home_x]])
        y_m = np.concatenate([[home_y], *(track.y_m for track in mine), [home_y]])
        duty = [part for track in mine for part in (track.activity, [OFF_DUTY])]
        activity = np.concatenate([[OFF_DUTY], *duty]).astype(np.int8)
        start, end = np.maximum(time_us[:-1], from_us), np.minimum(time_us[1:], to_us)
        kept = end > start
        columns = _cut(time_us, x_m, start, end) + _cut(time_us, y_m, start, end)
        unit_column = np.full(len(start), unit)
        table = (unit_column, start, end, columns[0], columns[2], columns[1], columns[3], activity)
        rows.append(tuple(column[kept] for column in table))
    return Paths(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def pings(town: Town, from_us: int, to_us: int, box: Reporting | None = None) -> Reports:
    """What the cars' boxes report of `[from_us, to_us)`, by time of fix, in order of arrival.

    `box` puts the same box into every car, as studies of accuracy need. The same for one long
    interval as for the intervals it is made of.
    """
    parts = []
    for track in tours(town, from_us, to_us):
        rng = stream(town.seed, "report", int(track.time_us[0]) // HOUR_US, track.unit)
        part = report(town, track, box or town.units[track.unit].reporting, rng)
        made_us = part.pings.time_us
        parts.append(part.take((made_us >= from_us) & (made_us < to_us)))
    return merged(parts)


def live(town: Town, start_us: int, clock: Callable[[], int]) -> Iterator[Reports]:
    """At each step, the reports that arrived since the last one: first since `start_us`.

    `clock` gives the present [µs UTC]. Goes on where the reports of `pings` that had arrived at
    `start_us` end, and never ends itself.
    """
    waiting, until_us = merged([]), start_us
    while True:
        now_us = clock()
        if now_us > until_us:
            waiting = merged([waiting, _arriving(town, until_us, now_us + HOUR_US)])
            until_us = now_us + HOUR_US
        due = int(np.searchsorted(waiting.sent_us, now_us, side="right"))
        yield waiting.take(slice(0, due))
        waiting = waiting.take(slice(due, None))


def _arriving(town: Town, after_us: int, until_us: int) -> Reports:
    """The reports that arrive after one instant and no later than another."""
    reports = pings(town, after_us - BACKLOG_US, until_us)
    return reports.take((reports.sent_us > after_us) & (reports.sent_us <= until_us))


def _cut(time_us: Ints, along_m: Floats, start_us: Ints, end_us: Ints) -> tuple[Floats, Floats]:
    """Where each piece stands when its part of the interval starts and ends [m]."""
    took_us = np.maximum(np.diff(time_us), 1)
    step = np.diff(along_m)
    return (
        along_m[:-1] + step * ((start_us - time_us[:-1]) / took_us),
        along_m[:-1] + step * ((end_us - time_us[:-1]) / took_us),
    )
