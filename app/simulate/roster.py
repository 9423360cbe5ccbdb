"""Who is on duty when, and what each car does in its shift: calls, visits, patrol, a break."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.shifts import HOUR_US, SECOND_US, Shift, instances, local_date, zone
from app.simulate.driver import (
    BREAK,
    DRIVE_MPS,
    ENROUTE,
    HURRY_MPS,
    ON_SCENE,
    PATROL,
    STATION,
    Driver,
    Track,
    corner_by_chance,
    cruise_or_visit,
    track_of,
)
from app.simulate.happenings import incidents
from app.simulate.harrow_bay import SHIFTS, TIMEZONE, Town, stream
from app.simulate.streets import nearest_corner

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TEAMS = 3  # each works one of the three shifts, another one the week after
OVERTIME_US = 2 * HOUR_US  # a tour may outlast its shift by a call and the way home, never longer
PATIENCE_S = 2_700.0  # a call that waited longer is answered by telephone


class Duty(NamedTuple):
    """A shift and the units on duty in it."""

    shift: Shift
    units: tuple[int, ...]


class _Calls(NamedTuple):
    """Calls for one car: when each came in [s since the tour began], and where [m]."""

    after_s: Floats
    x_m: Floats
    y_m: Floats


def tours(town: Town, from_us: int, to_us: int) -> list[Track]:
    """The whole tours of every shift that may reach into `[from_us, to_us)`, in time order.

    A tour is the same whatever the interval that asks for it.
    """
    duties = duty_roster(town, from_us, to_us)
    if not duties:
        return []
    known = incidents(town, duties[0].shift.start_us, duties[-1].shift.end_us)
    known = known.take(known.answered)
    tracks = []
    for shift, units in duties:
        first, last = np.searchsorted(known.reported_at_us, [shift.start_us, shift.end_us])
        for turn, unit in enumerate(units):  # calls go round
            mine = known.take(slice(first + turn, last, len(units)))
            calls = _Calls((mine.reported_at_us - shift.start_us) / SECOND_US, mine.x_m, mine.y_m)
            tracks.append(_tour(town, unit, shift, calls))
    return tracks


def duty_roster(town: Town, from_us: int, to_us: int) -> list[Duty]:
    """The shifts that may reach into an interval, overtime included, and who works in them."""
    if to_us <= from_us:
        return []
    first = local_date(from_us, TIMEZONE) - timedelta(days=2)
    shifts = instances(SHIFTS, TIMEZONE, first, local_date(to_us, TIMEZONE))
    team = len(town.units) // TEAMS
    roster = []
    for i in range(len(shifts)):
        shift = shifts.at(i)
        week = (first + timedelta(days=i // len(SHIFTS))).toordinal() // 7
        k = (int(shifts.name[i]) + week) % TEAMS
        if shift.start_us < to_us and shift.end_us + OVERTIME_US > from_us:
            roster.append(Duty(shift, tuple(range(k * team, (k + 1) * team))))
    return roster


def _tour(town: Town, unit: int, shift: Shift, calls: _Calls) -> Track:
    """From the station through a shift's calls, visits and patrols and back."""
    rng = stream(town.seed, "tour", shift.start_us // HOUR_US, unit)
    late_s = float(rng.integers(0, 480))
    length_s = (shift.end_us - shift.start_us) / SECOND_US - late_s - float(rng.integers(0, 300))
    chances = _hot_now(town, shift)
    driver = Driver(town, rng)
    driver.park(rng.uniform(240.0, 900.0), STATION)
    break_s = length_s * rng.uniform(0.4, 0.6)
    answered = 0
    while driver.now_s < length_s - 900.0:
        came_s = calls.after_s - late_s
        while answered < len(came_s) and came_s[answered] < driver.now_s - PATIENCE_S:
            answered += 1
        if answered < len(came_s) and came_s[answered] <= driver.now_s:
            x, y = float(calls.x_m[answered]), float(calls.y_m[answered])
            driver.drive(nearest_corner(town.streets, x, y), HURRY_MPS, ENROUTE)
            driver.park(float(np.clip(rng.gamma(3.0, 500.0), 240.0, 4_500.0)), ON_SCENE)
            answered += 1
        elif driver.now_s > break_s:
            driver.drive(corner_by_chance(town, rng), DRIVE_MPS, PATROL)
            driver.park(rng.uniform(1_200.0, 2_100.0), BREAK)
            break_s = np.inf
        else:
            hour = min(int((driver.now_s + late_s) / 3600), len(chances) - 1)
            cruise_or_visit(town, driver, chances[hour])
    driver.drive(town.station, DRIVE_MPS, PATROL)
    driver.park(max(60.0, length_s - driver.now_s - 30.0), STATION)
    return track_of(unit, shift.start_us + int(late_s) * SECOND_US, driver)


def _hot_now(town: Town, shift: Shift) -> list[Floats]:
    """Cumulative chance of each hot spot, for each hour of a shift."""
    where = zone(TIMEZONE)
    hours = range(shift.start_us // HOUR_US, -(-shift.end_us // HOUR_US))
    moments = [datetime.fromtimestamp(hour * 3600, where) for hour in hours]
    weights = [
        np.cumsum([spot.hourly[moment.weekday() * 24 + moment.hour] for spot in town.hot_spots])
        for moment in moments
    ]
    return [weight / weight[-1] for weight in weights]
