"""Where and when a collection's features are, so that a client can go there."""

from dataclasses import dataclass

import shapely
from sqlalchemy import Connection

from app.ogc.collections import CELLS, DISTRICTS, UNITS, ZONES, Collection
from app.store import districts, sources
from app.store.sources import SOURCES, Source

Box = tuple[float, ...]


@dataclass(frozen=True)
class Extent:
    """West, south, east, north [deg], and first and last instant [µs UTC]; None where unknown."""

    box: Box | None
    interval_us: tuple[int, int] | None


def extent_of(c: Connection, collection: Collection, source: Source) -> Extent:
    """The extent of all features; clients ask for nothing outside of it, so it leaves nothing out.

    That of units is the districts' too: they move, and a client asks for the extent only once.
    """
    if collection is ZONES:  # each lies within its plan's cells
        box = sources.extent(c, SOURCES[CELLS.id])
    elif collection is DISTRICTS:
        box = _districts(c)
    else:
        box = sources.extent(c, source)
    if collection is UNITS:
        box = _around(box, _districts(c))
    return Extent(box, sources.interval_us(c, source))


def _districts(c: Connection) -> Box | None:
    shapes = [district.geometry for district in districts.list_districts(c)]
    return tuple(shapely.total_bounds(shapes).tolist()) if shapes else None


def _around(one: Box | None, other: Box | None) -> Box | None:
    if one is None or other is None:
        return one or other
    low, high = (min, min), (max, max)
    return tuple(f(a, b) for f, a, b in zip((*low, *high), one, other, strict=True))
