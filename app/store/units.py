"""Units: a call sign outside, a number inside, and where each was last heard."""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.geo.fixes import NOT_SENT, Pings
from app.store import columns
from app.store.columns import ABSENT
from app.tables import units

STILL_MPS = 1.0  # receivers that stand report up to some tenths
STILL_M = 50.0  # between two reports, where no speed is sent: the error of two fixes in a street
M_PER_DEG = 111_195.0


@dataclass(frozen=True)
class Unit:
    """A unit and its newest ping; all None behind `unit_id` where it was never heard.

    `still`: whether it stood then. `idle_interval_s` [s]: how rarely it reports when parked, as
    declared. `clock_offset_s` [s]: receipt minus time of a fix.
    """

    unit: int
    unit_id: str
    last_us: int | None
    lat: float | None
    lon: float | None
    speed_mps: float | None
    heading_deg: float | None
    status: int | None
    still: bool | None = None
    idle_interval_s: int | None = None
    clock_offset_s: float | None = None


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


def set_unit(c: Connection, unit_id: str, idle_interval_s: int | None) -> tuple[Unit, bool]:
    """Registers a unit or changes what is declared of it: the unit, and whether it is new."""
    new = find_unit(c, unit_id) is None
    number = unit_numbers(c, [unit_id], register=True)[unit_id]
    mine = units.c.unit == number
    c.execute(update(units).where(mine).values(idle_interval_s=idle_interval_s))
    return _unit(c.execute(select(*_UNIT).where(mine)).one()), new


def set_clock_offsets(c: Connection, offsets_s: Mapping[str, float]) -> None:
    """Takes down the clock offset [s] of units by call sign; unknown ones are left out."""
    numbers = unit_numbers(c, list(offsets_s), register=False)
    found = sorted((number, offsets_s[unit_id]) for unit_id, number in numbers.items())
    if not found:
        return
    rows = {
        "clock_offset_s": np.array([offset_s for _, offset_s in found]),
        "unit": np.array([number for number, _ in found]),
    }
    if columns.is_postgres(c):
        lock_units(c, rows["unit"])
        change = "UPDATE units AS u SET clock_offset_s = s.clock_offset_s"
        columns.many(c, f"{change} FROM {columns.unnest(rows)} WHERE u.unit = s.unit", rows)
    else:
        columns.many(c, "UPDATE units SET clock_offset_s = ? WHERE unit = ?", rows)


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
    narrow = np.cos(np.radians(newest.lat)) ** 2
    if columns.is_postgres(c):
        position |= {"narrow": narrow, "unit": newest.unit}
        columns.many(c, _move_postgres(position), position)
        return
    wkb = columns.points_wkb(newest.lon, newest.lat)
    last = {**position, "geometry": wkb, "unit": newest.unit, "narrow": narrow}
    columns.many(c, MOVE_SQLITE, last)


def _still(speed_mps: str, lat: str, lon: str, narrow: str) -> str:
    """Whether a unit stands: by its speed if it sends one, else by where it was heard before.

    `narrow`: the squared cosine of the latitude, by which degrees of longitude are shorter.
    """
    limit = (STILL_M / M_PER_DEG) ** 2
    north, east = f"({lat} - u.lat)", f"({lon} - u.lon)"
    moved = f"{north} * {north} + {narrow} * {east} * {east}"
    return f"COALESCE({speed_mps} < {STILL_MPS}, {moved} < {limit!r})"


MOVE_SQLITE = (
    f"UPDATE units AS u SET still = {_still('?4', '?2', '?3', '?9')},"
    " last_us = ?1, lat = ?2, lon = ?3, speed_mps = ?4, heading_deg = ?5,"
    f" status = NULLIF(?6, {NOT_SENT}), geometry = ?7"
    " WHERE unit = ?8 AND (last_us IS NULL OR last_us <= ?1)"
)


def _move_postgres(position: dict[str, NDArray[Any]]) -> str:
    speed_mps = "NULLIF(s.speed_mps, 'NaN')"
    return (
        f"UPDATE units AS u SET still = {_still(speed_mps, 's.lat', 's.lon', 's.narrow')},"
        " last_us = s.time_us, lat = s.lat, lon = s.lon,"
        f" speed_mps = {speed_mps}, heading_deg = NULLIF(s.heading_deg, 'NaN'),"
        f" status = NULLIF(s.status, {NOT_SENT}),"
        " geometry = ST_SetSRID(ST_MakePoint(s.lon, s.lat), 4326)"
        f" FROM {columns.unnest(position)}"
        " WHERE u.unit = s.unit AND (u.last_us IS NULL OR u.last_us <= s.time_us)"
    )


def _numbers(c: Connection, unit_ids: Iterable[str]) -> dict[str, int]:
    wanted = list(dict.fromkeys(unit_ids))
    if columns.is_postgres(c):
        found = columns.many(c, FIND_POSTGRES, {"unit_id": wanted})
    else:
        found = columns.driver(c).execute(FIND_SQLITE, (json.dumps(wanted),))
    return dict(found.fetchall())


FIND_POSTGRES = "SELECT unit_id, unit FROM units WHERE unit_id = ANY (%s)"
FIND_SQLITE = "SELECT unit_id, unit FROM units WHERE unit_id IN (SELECT value FROM json_each(?))"


def _unit(row: Any) -> Unit:
    return Unit(*row)
