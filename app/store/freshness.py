"""How much is stored and how new it is: counts and instants, no places."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.tables import dirty_hours, districts, incidents, plans, units


@dataclass(frozen=True)
class Freshness:
    """Counts, and the newest instant of each kind [µs since 1970 UTC]; None where there is none."""

    districts: int
    units: int
    last_ping_us: int | None
    incidents: int
    last_incident_us: int | None
    plans: int
    last_plan_us: int | None


def freshness(c: Connection) -> Freshness:
    """What is stored now."""
    whole = select(
        select(func.count()).select_from(districts).scalar_subquery(),
        select(func.count()).select_from(units).scalar_subquery(),
        select(func.max(units.c.last_us)).scalar_subquery(),
        select(func.count()).select_from(incidents).scalar_subquery(),
        select(func.max(incidents.c.occurred_from_us)).scalar_subquery(),
        select(func.count()).select_from(plans).scalar_subquery(),
        select(func.max(plans.c.created_us)).scalar_subquery(),
    )
    return Freshness(*c.execute(whole).one())


@dataclass(frozen=True)
class Backlog:
    """Hours of units still to derive, units that were ever heard, and those silent for too long."""

    dirty_hours: int
    units: int
    stale: int


def backlog(c: Connection, stale_before_us: int) -> Backlog:
    """What is left to do, and whom nobody hears; `stale_before_us` [µs since 1970 UTC]."""
    heard = select(func.count()).select_from(units).where(units.c.last_us.is_not(None))
    whole = select(
        select(func.count()).select_from(dirty_hours).scalar_subquery(),
        heard.scalar_subquery(),
        heard.where(units.c.last_us < stale_before_us).scalar_subquery(),
    )
    return Backlog(*c.execute(whole).one())
