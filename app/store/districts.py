"""Districts: areas of responsibility in a tree of any depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import shapely
from sqlalchemy import Connection, Row, insert, select, text, update

from app.errors import Invalid
from app.store.revisions import next_revision
from app.tables import districts


@dataclass(frozen=True)
class District:
    """An area with a time zone and a calendar of shifts (name to local HH:MM).

    `parent` is the id of the district around it. `unit_hours` [h] is the capacity of its plans,
    None for the setting's. `geometry` is a MultiPolygon in lon, lat.
    """

    id: str
    name: str
    timezone: str
    shifts: Mapping[str, str]
    geometry: shapely.MultiPolygon
    parent: str | None = None
    unit_hours: float | None = None


def put_district(c: Connection, district: District) -> bool:
    """Whether the district is new; an older one of that id is replaced.

    Raises Invalid for a parent that does not exist or that lies below the district itself.
    """
    if c.dialect.name == "postgresql":  # or two at once could close a circle of parents
        c.execute(text("LOCK TABLE districts IN SHARE ROW EXCLUSIVE MODE"))
    _refuse_parent(c, district)
    values = {
        "name": district.name,
        "timezone": district.timezone,
        "shifts": dict(district.shifts),
        "parent": district.parent,
        "unit_hours": district.unit_hours,
        "geometry": as_multipolygon(district.geometry),
    }
    number = next_revision(c, "districts")
    mine = update(districts).where(districts.c.id == district.id)
    if c.execute(mine.values(values)).rowcount:
        return False
    c.execute(insert(districts).values(id=district.id, number=number, **values))
    return True


def get_district(c: Connection, id: str) -> District | None:  # noqa: A002  the contract's word
    """The district of that id, or None."""
    row = c.execute(select(districts).where(districts.c.id == id)).first()
    return None if row is None else _district(row)


def list_districts(c: Connection) -> list[District]:
    """All districts by id."""
    return [_district(row) for row in c.execute(select(districts).order_by(districts.c.id))]


def as_multipolygon(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """A Polygon as a MultiPolygon of one; a MultiPolygon as it is. Raises Invalid for the rest."""
    if isinstance(geometry, shapely.MultiPolygon):
        return geometry
    if isinstance(geometry, shapely.Polygon):
        return shapely.MultiPolygon([geometry])
    raise Invalid(f"an area is a Polygon or a MultiPolygon, not a {geometry.geom_type}")


def _refuse_parent(c: Connection, district: District) -> None:
    above = district.parent
    if above is None:
        return
    parents: dict[str, str | None] = {
        row.id: row.parent for row in c.execute(select(districts.c.id, districts.c.parent))
    }
    if above != district.id and above not in parents:
        raise Invalid(f"district {district.id} names the parent {above}, which does not exist")
    while above is not None:
        if above == district.id:
            raise Invalid(f"district {district.id} cannot lie below itself")
        above = parents.get(above)


def _district(row: Row[Any]) -> District:
    return District(
        id=row.id,
        name=row.name,
        timezone=row.timezone,
        shifts=row.shifts,
        geometry=row.geometry,
        parent=row.parent,
        unit_hours=row.unit_hours,
    )
