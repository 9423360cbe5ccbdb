"""Units: a call sign outside, a number inside, and where each was last heard."""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.geo.fixes import NOT_SENT, Pings
from app.store import columns
from app.store.columns import ABSENT
from app.tables import units

CHUNK = 500  # SQLite takes 999 parameters in its oldest builds


@dataclass(frozen=True)
class Unit:
    """A unit and its newest ping; all None behind `unit_id` where it was never heard."""

    unit: int
    unit_id: str
    last_us: int | None
    lat: float | None
    lon: float | None
    speed_mps: float | None
    heading_deg: float | None
    status: int | None


_UNIT = tuple(units.c[name] for name in Unit.__dataclass_fields__)


def unit_numbers(c: Connection, unit_ids: Sequence[str], register: bool) -> dict[str, int]:
    """The number of each call sign; unknown ones are added if `register`, else left out."""
    known = _numbers(c, unit_ids)
    missing = sorted(set(unit_ids) - known.keys())
    if not register or not missing:
        return known
    # Sorted, so that two registrations at once wait for each other and never in a circle.
    kind = postgresql if c.dialect.name == "postgresql" else sqlite
    insert = kind.insert(units).on_conflict_do_nothing(index_elements=["unit_id"])
    c.execute(insert, [{"unit_id": unit_id} for unit_id in missing])
    return known | _numbers(c, missing)


def list_units(c: Connection) -> list[Unit]:
    """All units by call sign."""
    return [_unit(row) for row in c.execute(select(*_UNIT).order_by(units.c.unit_id))]


def find_unit(c: Connection, unit_id: str) -> Unit | None:
    """The unit with that call sign, or None."""
    row = c.execute(select(*_UNIT).where(units.c.unit_id == unit_id)).first()
    return None if row is None else _unit(row)


def last_heard_us(c: Connection) -> int | None:
    """The instant of the newest ping of all units; None where there is none."""
    query = select(units.c.last_us).where(units.c.last_us.is_not(None))
    return c.scalar(query.order_by(units.c.last_us.desc()).limit(1))


def lock_units(c: Connection, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keeps everybody else from writing facts of these units until the transaction ends.

    `numbers` (n,) sorted and distinct, so that nobody waits in a circle. Gives the instant of each
    unit's newest ping (n,) [µs UTC], ABSENT where it was never heard; it cannot change meanwhile.
    Raises ValueError for a number that no unit has.
    """
    if columns.is_postgres(c):
        cursor = columns.many(c, LOCK_POSTGRES, {"unit": numbers})
        last_us = columns.array_of(cursor, 0, "i8")
    else:  # the transaction has locked the whole database
        last = func.coalesce(units.c.last_us, ABSENT).label("last_us")
        every = columns.read(c, select(units.c.unit, last).order_by(units.c.unit))
        last_us = every["last_us"][np.isin(every["unit"], numbers)]
    if len(last_us) < len(numbers):
        raise ValueError("a unit must be registered before its first ping")
    return last_us


LOCK_POSTGRES = f"""
    SELECT array_agg(COALESCE(last_us, {ABSENT}) ORDER BY unit) FROM (
        SELECT unit, last_us FROM units WHERE unit = ANY (%s) ORDER BY unit FOR NO KEY UPDATE
    ) AS locked"""


def move_units(c: Connection, newest: Pings) -> None:
    """Makes each row the last position of its unit, unless a later one is known."""
    position = {
        name: getattr(newest, name)
        for name in ("time_us", "lat", "lon", "speed_mps", "heading_deg", "status")
    }
    if columns.is_postgres(c):
        columns.many(c, _move_postgres(position), {**position, "unit": newest.unit})
        return
    wkb = columns.points_wkb(newest.lon, newest.lat)
    last = {**position, "geometry": wkb, "unit": newest.unit, "than_us": newest.time_us}
    columns.many(c, MOVE_SQLITE, last)


MOVE_SQLITE = (
    "UPDATE units SET last_us = ?, lat = ?, lon = ?, speed_mps = ?, heading_deg = ?,"
    f" status = NULLIF(?, {NOT_SENT}), geometry = ?"
    " WHERE unit = ? AND (last_us IS NULL OR last_us <= ?)"
)


def _move_postgres(position: dict[str, NDArray[Any]]) -> str:
    return (
        "UPDATE units AS u SET last_us = s.time_us, lat = s.lat, lon = s.lon,"
        " speed_mps = NULLIF(s.speed_mps, 'NaN'), heading_deg = NULLIF(s.heading_deg, 'NaN'),"
        f" status = NULLIF(s.status, {NOT_SENT}),"
        " geometry = ST_SetSRID(ST_MakePoint(s.lon, s.lat), 4326)"
        f" FROM {columns.unnest({**position, 'unit': position['lat']})}"
        " WHERE u.unit = s.unit AND (u.last_us IS NULL OR u.last_us <= s.time_us)"
    )


def _numbers(c: Connection, unit_ids: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    wanted = list(dict.fromkeys(unit_ids))
    for start in range(0, len(wanted), CHUNK):
        mine = units.c.unit_id.in_(wanted[start : start + CHUNK])
        query = select(units.c.unit_id, units.c.unit).where(mine)
        found.update((row.unit_id, row.unit) for row in c.execute(query))
    return found


def _unit(row: Any) -> Unit:
    return Unit(*row)
