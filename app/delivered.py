"""What patrol a plan's zones have received so far, from the pings as they are now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.coverage import stays_on_duty
from app.db import Database
from app.geo.dwell import CONTEXT_HOURS
from app.geo.fixes import no_pings
from app.geo.grid import Cells, from_text, resolutions
from app.geo.stays import Stays, is_patrol
from app.geo.visiting import Visits, status_of, visits_of, zones_of
from app.settings import Settings
from app.shifts import HOUR_US, SECOND_US
from app.store import coverage, pings, places
from app.store.plans import Plan

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ZoneDosage:
    """How a zone stands: none, part, met, over or unknown.

    `delivered_s` and `remaining_s` [s] are None where nothing can be said; `visits` counts those
    that were seen; `last_us` is the end of the last one, None where there was none.
    """

    id: str
    status: str
    target_s: float
    delivered_s: float | None
    remaining_s: float | None
    visits: int
    last_us: int | None


@dataclass(frozen=True)
class PlanDosage:
    """The zones of a plan in order of rank, and their visits, whose `zone` counts from 0."""

    plan: str
    as_of_us: int
    zones: tuple[ZoneDosage, ...]
    visits: Visits


@dataclass(frozen=True)
class Seen:
    """Observed time in some cells; `silent_us`: stretches in which no unit at all was heard."""

    stays: Stays
    silent_us: tuple[tuple[int, int], ...]

    def is_stale(self, at_us: int) -> bool:
        """Whether the feed is silent at the end of what was looked at."""
        return bool(self.silent_us) and self.silent_us[-1][1] >= at_us


def plan_dosage(database: Database, settings: Settings, plan: Plan, now_us: int) -> PlanDosage:
    """The dosage of a plan's zones from its shift's start (or its own cut-off within it) to now.

    Raises DatabaseAway.
    """
    from_us = max(plan.start_us, plan.data_until_us)
    until_us = min(plan.end_us, now_us)
    zones = [from_text(zone.cells) for zone in plan.zones]
    seen = seen_in(database, settings, zones, from_us, until_us)
    stays = seen.stays.take(is_patrol(seen.stays))
    zone = zones_of(stays.cell, zones)
    spent_us = np.zeros(len(zones), dtype=np.int64)
    np.add.at(spent_us, zone[zone >= 0], (stays.end_us - stays.start_us)[zone >= 0])
    visits = visits_of(seen.stays, zones)
    stale = seen.is_stale(until_us) and now_us < plan.end_us
    found = []
    for k, one in enumerate(plan.zones):
        mine = visits.take(visits.zone == k)
        delivered_s = int(spent_us[k]) / SECOND_US
        # Nobody seen is no visit only if somebody would have been.
        known = not stale and (delivered_s > 0 or not seen.silent_us)
        found.append(
            ZoneDosage(
                one.id,
                status_of(delivered_s, one.target_dosage_s, known=known),
                one.target_dosage_s,
                delivered_s if known or delivered_s > 0 else None,
                max(0.0, one.target_dosage_s - delivered_s) if known else None,
                len(mine),
                int(mine.end_us.max()) if len(mine) else None,
            )
        )
    return PlanDosage(plan.id, now_us, tuple(found), visits)


def seen_in(
    database: Database, settings: Settings, zones: Sequence[Cells], from_us: int, until_us: int
) -> Seen:
    """What was observed in some sets of cells, all of one resolution, in `[from_us, until_us)`.

    It reads only, and only the hours of units that are or may be there: what is not yet derived
    is among them. Nothing for an interval that has not begun.
    """
    cells = np.concatenate([np.empty(0, np.uint64), *zones])
    resolution = _resolution(cells, settings)
    if until_us <= from_us:
        return Seen(stays_on_duty(no_pings(), resolution, None), ())
    first, last = from_us // HOUR_US, (until_us - 1) // HOUR_US + 1
    with database.read() as connection:
        silent = pings.silences(connection, from_us, until_us, settings.stale_s * SECOND_US)
        apart = places.apart(connection)
        if resolution == settings.plan_resolution:
            unit, hour = coverage.hours_in(connection, cells, first, last)
        else:
            unit, hour = coverage.hours_heard(connection, first, last)
        units = np.unique(unit)
        low_us, high_us = (first - CONTEXT_HOURS) * HOUR_US, (last + CONTEXT_HOURS) * HOUR_US
        found = pings.read_pings(connection, units, low_us, high_us) if len(units) else None
    found = no_pings() if found is None else found
    # An hour depends on pings at most CONTEXT_HOURS from it: others of its unit can be left out.
    around = [hour + k for k in range(-CONTEXT_HOURS, CONTEXT_HOURS + 1)]
    near = np.concatenate([_pair(unit, h) for h in around])
    found = found.take(np.isin(_pair(found.unit, found.time_us // HOUR_US), near))
    stays = stays_on_duty(found, resolution, apart)
    whole = np.isin(_pair(stays.unit, stays.start_us // HOUR_US), _pair(unit, hour))
    stays = stays.take(whole & np.isin(stays.cell, cells))
    return Seen(stays.within(from_us, until_us), tuple(silent))


def _resolution(cells: Cells, settings: Settings) -> int:
    return int(resolutions(cells[:1])[0]) if len(cells) else settings.plan_resolution


def _pair(unit: Ints, hour: Ints) -> Ints:
    """One number for a unit and an hour."""
    return (hour << 32) + unit
