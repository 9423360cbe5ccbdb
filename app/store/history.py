"""The history of incidents as columns: read once, then only what changed since."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, case, func, select

from app.geo.grid import cells_at
from app.geo.risk import SOURCES, Incidents
from app.store import columns
from app.store.incidents import revision_of
from app.tables import categories
from app.tables import incidents as table

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Box:
    """A box in degrees, edges included; `west` above `east` where it crosses the date line."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True)
class _Known:
    """All incidents up to a revision, in an order that their content alone decides."""

    revision: int
    names: tuple[str, ...]  # of the categories, sorted
    incident: Ints
    time_us: Ints
    to_us: Ints
    known_us: Ints
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    cell: NDArray[np.uint64]
    category: Ints
    source: Ints


class History:
    """The incidents of one database, remembered by this process; safe to share among threads."""

    def __init__(self, resolution: int) -> None:
        """Remembers nothing yet: the first read takes everything.

        `resolution`: of the cells that are given. They come from the points, not from the finer
        cells that are stored: H3's cells do not quite nest, so a parent may not hold the point.
        """
        self._resolution = resolution
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def read(
        self,
        c: Connection,
        until_us: int,
        from_us: int | None = None,
        box: Box | None = None,
    ) -> Incidents:
        """Incidents that happened since `from_us` and were known and over before `until_us`.

        An incident is known when it was reported; where that is not given, when it was over; where
        that is not given either, when it happened. `to_us` is `time_us` where it is not given.
        Sorted by time and content, so the same facts give the same bytes on any database. What has
        not changed since the last call is not read again.
        """
        with self._lock:
            known = self._known
            revision = revision_of(c)
            if known is None or known.revision > revision:  # another view or another database
                known = self._read(c, revision, None)
            elif known.revision < revision:
                known = _merged(known, self._read(c, revision, known.revision))
            self._known = known
        return _chosen(known, until_us, from_us, box)

    def _read(self, c: Connection, revision: int, since: int | None) -> _Known:
        """All incidents, or those that changed after the revision `since`."""
        t = table.c
        to_us = func.coalesce(t.occurred_to_us, t.occurred_from_us)
        sources = {name: code for code, name in enumerate(SOURCES)}
        query = select(
            t.incident,
            t.occurred_from_us.label("time_us"),
            to_us.label("to_us"),
            func.coalesce(t.reported_at_us, to_us).label("known_us"),
            t.lat,
            t.lon,
            categories.c.code.label("category"),
            case(sources, value=t.source, else_=0).label("source"),
        ).join(categories, categories.c.name == t.category)
        if since is not None:
            query = query.where(t.revision > since)
        found = columns.read(c, query)
        names = c.scalars(select(categories.c.name).order_by(categories.c.code)).all()
        in_order = sorted(names)
        place = {name: k for k, name in enumerate(in_order)}
        rank = np.array([place[name] for name in names], dtype=np.int64)
        found["category"] = rank[found["category"]]
        found["cell"] = cells_at(found["lat"], found["lon"], self._resolution)
        return _ordered(_Known(revision, tuple(in_order), **found))


def _chosen(known: _Known, until_us: int, from_us: int | None, box: Box | None) -> Incidents:
    mask = (known.known_us < until_us) & (known.time_us < until_us)
    if from_us is not None:
        mask &= known.time_us >= from_us
    if box is not None:
        mask &= (known.lat >= box.south) & (known.lat <= box.north)
        east_of, west_of = known.lon >= box.west, known.lon <= box.east
        mask &= (east_of & west_of) if box.west <= box.east else (east_of | west_of)
    return Incidents(
        time_us=known.time_us[mask],
        to_us=known.to_us[mask],
        known_us=known.known_us[mask],
        cell=known.cell[mask],
        category=known.category[mask].astype(np.int32),
        source=known.source[mask].astype(np.int8),
        categories=known.names,
    )


def _merged(old: _Known, new: _Known) -> _Known:
    """The old incidents with the changed ones in their place."""
    place = {name: k for k, name in enumerate(new.names)}
    rank = np.array([place[name] for name in old.names], dtype=np.int64)
    kept = ~np.isin(old.incident, new.incident)
    parts = {
        name: np.concatenate([_column(old, name, rank)[kept], getattr(new, name)])
        for name in _COLUMNS
    }
    return _ordered(_Known(new.revision, new.names, **parts))


def _column(known: _Known, name: str, rank: Ints) -> NDArray[Any]:
    column: NDArray[Any] = getattr(known, name)
    return rank[column] if name == "category" else column


def _ordered(known: _Known) -> _Known:
    """Sorted by time, and where that is equal by what the risk looks at."""
    keys = [getattr(known, name) for name in _ORDER]
    order = _lexsort(keys)
    return _Known(
        known.revision, known.names, **{name: getattr(known, name)[order] for name in _COLUMNS}
    )


def _lexsort(keys: Sequence[NDArray[Any]]) -> Ints:
    """As numpy's lexsort, first key first; later keys are looked at only where it ties."""
    order = np.argsort(keys[0], kind="stable")
    first = keys[0][order]
    same = first[1:] == first[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    some = order[tied]
    order[tied] = some[np.lexsort([key[some] for key in reversed(keys)])]
    return order


_COLUMNS = tuple(field.name for field in fields(_Known))[2:]
_ORDER = ("time_us", "cell", "category", "known_us", "to_us", "source", "lat", "lon")
