"""What SQLite lacks for filters: relations between geometries, and lower case beyond ASCII.

PostGIS has both. Here they are plain functions on each connection, so that a filter is one query on
both databases. They raise nothing: what they are given was checked before it came to the database.
"""

import sqlite3
from collections.abc import Callable
from functools import lru_cache

import shapely

RELATIONS = (
    *("intersects", "disjoint", "equals", "touches", "within", "overlaps", "crosses", "contains"),
)
# A prepared geometry must come first: what one thing is to another, the other is to it as here.
_TURNED = {"within": "contains", "contains": "within"}


def add_functions(connection: sqlite3.Connection) -> None:
    """Adds `spatial_<relation>(geometry, other)`, both as WKB, and `lower_case(text)`."""
    for relation in RELATIONS:
        connection.create_function(f"spatial_{relation}", 2, _related(relation), deterministic=True)
    connection.create_function(
        "lower_case", 1, lambda t: None if t is None else str(t).lower(), deterministic=True
    )


def _related(relation: str) -> Callable[[bytes | None, bytes], bool | None]:
    holds = getattr(shapely, _TURNED.get(relation, relation))

    def related(geometry: bytes | None, other: bytes) -> bool | None:
        if geometry is None:
            return None
        return bool(holds(_prepared(other), shapely.from_wkb(geometry)))

    return related


@lru_cache(maxsize=64)
def _prepared(wkb: bytes) -> shapely.Geometry:
    shape = shapely.from_wkb(wkb)
    shapely.prepare(shape)
    return shape
