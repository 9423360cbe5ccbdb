"""Shifts as intervals in UTC."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.deps import DatabaseDep, NowDep, needs
from app.errors import Invalid
from app.guard import GuardedRoute
from app.moments import text_of
from app.problems import problems
from app.routers.districts import known_district
from app.schemas import DayOrMoment, ShiftInterval
from app.shifts import DAY_US, instances, local_date

MOST_DAYS = 400
DAYS_AHEAD = 7
DAY = timedelta(days=1)

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["shifts"])


@router.get(
    "/shifts",
    summary="Shifts of a district",
    dependencies=[needs("view")],
    responses=problems(400, 401, 403, 404, 422, 500, 503),
)
def list_shifts(
    district: Annotated[str, Query(description="A district's id.")],
    database: DatabaseDep,
    now_us: NowDep,
    from_: Annotated[DayOrMoment | None, Query(alias="from")] = None,
    to: Annotated[DayOrMoment | None, Query()] = None,
) -> list[ShiftInterval]:
    """Shift instances of one district in time order, as half-open intervals in UTC. Scope `view`.

    `from` and `to` may each be a day or an instant. Of days, those shifts are meant that start on
    the local days from the one to the other, both included; of instants, those that have any
    part between them. Left out: from now on, and seven days on from there. At most 400 days.
    """
    where = known_district(database, district)
    begin: date | int = now_us if from_ is None else from_
    end = _later(begin, DAYS_AHEAD) if to is None else to
    first = begin if isinstance(begin, date) else local_date(begin, where.timezone) - DAY
    last = end if isinstance(end, date) else local_date(end, where.timezone)
    if last < first:
        raise Invalid("to: lies before from")
    if (last - first).days > MOST_DAYS:
        raise Invalid(f"from, to: at most {MOST_DAYS} days at once")
    found = instances(where.shifts, where.timezone, first, last)
    return [
        ShiftInterval(
            district=where.id, name=s.name, start=text_of(s.start_us), end=text_of(s.end_us)
        )
        for s in map(found.at, range(len(found)))
        if (isinstance(begin, date) or s.end_us > begin)
        and (isinstance(end, date) or s.start_us < end)
    ]


def _later(begin: date | int, days: int) -> date | int:
    """So many days on: of a day, so that they are the days in all; of an instant, to the second."""
    return begin + DAY * (days - 1) if isinstance(begin, date) else begin + days * DAY_US
