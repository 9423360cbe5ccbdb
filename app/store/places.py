"""Places that are no patrol: stations, garages, courts, hospitals."""

from dataclasses import dataclass
from typing import Any

import shapely
from sqlalchemy import Connection, Row, insert, select, update

from app.store.coverage import mark_all_dirty
from app.store.districts import as_multipolygon
from app.tables import places

KINDS = ("station", "garage", "court", "hospital", "other")


@dataclass(frozen=True)
class Place:
    """An area whose time is kept apart; `kind` is one of KINDS, `geometry` in lon, lat."""

    id: str
    name: str
    kind: str
    geometry: shapely.MultiPolygon


def put_place(c: Connection, place: Place) -> bool:
    """Whether the place is new; an older one of that id is replaced.

    What was derived is derived again where it changes, as far back as there are pings.
    """
    old = get_place(c, place.id)
    if old == place:
        return False
    values = {
        "name": place.name,
        "kind": place.kind,
        "geometry": as_multipolygon(place.geometry),
    }
    if old is None:
        c.execute(insert(places).values(id=place.id, **values))
    else:
        c.execute(update(places).where(places.c.id == place.id).values(values))
    if old is None or old.geometry != place.geometry:
        mark_all_dirty(c)
    return old is None


def get_place(c: Connection, id: str) -> Place | None:  # noqa: A002  the contract's word
    """The place of that id, or None."""
    row = c.execute(select(places).where(places.c.id == id)).first()
    return None if row is None else _place(row)


def list_places(c: Connection) -> list[Place]:
    """All places by id."""
    return [_place(row) for row in c.execute(select(places).order_by(places.c.id))]


def apart(c: Connection) -> shapely.MultiPolygon | None:
    """All places as one area, the same for the same places; None where there is none."""
    areas = c.scalars(select(places.c.geometry).order_by(places.c.id)).all()
    if not areas:
        return None
    whole = shapely.union_all(list(areas))
    return shapely.MultiPolygon([p for p in shapely.get_parts(whole) if p.geom_type == "Polygon"])


def _place(row: Row[Any]) -> Place:
    return Place(id=row.id, name=row.name, kind=row.kind, geometry=row.geometry)
