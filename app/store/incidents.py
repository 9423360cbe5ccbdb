"""Incidents: written in columns, read as the columns that the risk needs, and remembered.

Every change takes the next number of the revision `incidents`, in the same transaction, and leaves
it on the rows that it changed; so one who has read everything up to a revision later reads only
what changed since. Writers of incidents wait for each other at that number.
"""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select, update

from app.geo.risk import SOURCES
from app.store import columns
from app.store.columns import ABSENT
from app.tables import categories, revisions
from app.tables import incidents as table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = Sequence[str | None]
NAME = "incidents"  # of the revision


@dataclass(frozen=True)
class IncidentRows:
    """Checked incidents as columns of length n.

    Instants int64 [µs UTC], `occurred_to_us` and `reported_at_us` ABSENT where not known; `lat`,
    `lon` float64 [deg]; `cell` uint64 at the finest resolution stored; `source` int8 indexes
    SOURCES. `final_category` and `municipality` are None where not known.
    """

    incident_id: Sequence[str]
    occurred_from_us: Ints
    occurred_to_us: Ints
    reported_at_us: Ints
    lat: Floats
    lon: Floats
    cell: NDArray[np.uint64]
    category: Sequence[str]
    final_category: Texts
    source: NDArray[np.int8]
    municipality: Texts

    def __len__(self) -> int:
        return len(self.incident_id)

    def take(self, index: Ints) -> "IncidentRows":
        """The rows at these positions, in that order."""
        chosen = index.tolist()
        taken: list[Any] = [
            column[index] if isinstance(column, np.ndarray) else [column[i] for i in chosen]
            for column in (getattr(self, field.name) for field in fields(self))
        ]
        return IncidentRows(*taken)


COLUMNS = tuple(field.name for field in fields(IncidentRows))
FACTS = tuple(name for name in COLUMNS if name not in ("incident_id", "cell"))


def add_incidents(c: Connection, rows: IncidentRows) -> int:
    """How many rows changed something, read one after the other; the others are duplicates.

    A row changes something if its id is new or any of its facts differs from what came before it.
    """
    if len(rows) == 0:
        return 0
    revision = _lock_revision(c) + 1
    _number_categories(c, set(rows.category))
    accepted = (_upsert_postgres if columns.is_postgres(c) else _upsert_sqlite)(c, rows, revision)
    if accepted:
        mine = revisions.c.name == NAME
        c.execute(update(revisions).where(mine).values(revision=revision))
    return accepted


def revision_of(c: Connection) -> int:
    """The number of the last change of any incident; 0 before the first."""
    return int(c.scalars(select(revisions.c.revision).where(revisions.c.name == NAME)).one())


def _lock_revision(c: Connection) -> int:
    query = select(revisions.c.revision).where(revisions.c.name == NAME).with_for_update()
    return int(c.scalars(query).one())


def _number_categories(c: Connection, names: set[str]) -> None:
    """Gives each new category the next number. The caller holds the revision."""
    known = set(c.scalars(select(categories.c.name)))
    new = sorted(names - known)
    if new:
        rows = [{"name": name, "code": len(known) + k} for k, name in enumerate(new)]
        c.execute(insert(categories), rows)


def _upsert_sqlite(c: Connection, rows: IncidentRows, revision: int) -> int:
    values = _values(rows) | {"geometry": columns.points_wkb(rows.lon, rows.lat)}
    marks = ", ".join(f"NULLIF(?, {ABSENT})" if _may_be_absent(name) else "?" for name in values)
    statement = (
        f"INSERT INTO {table.name} AS t ({', '.join(values)}, revision)"
        f" VALUES ({marks}, {revision}) {_on_conflict('IS NOT', (*values,))}"
    )
    return int(columns.many(c, statement, values).rowcount)


def _upsert_postgres(c: Connection, rows: IncidentRows, revision: int) -> int:
    """The first row of each id against what is stored; of more rows of one id, the last stays."""
    first, last, changes = _within(rows)
    accepted = _write_postgres(c, rows.take(first) if len(first) < len(rows) else rows, revision)
    if len(last):
        _write_postgres(c, rows.take(last), revision)
    return accepted + changes


def _write_postgres(c: Connection, rows: IncidentRows, revision: int) -> int:
    # Neighbours one after the other: the spatial index takes them almost twice as fast.
    values = _values(rows.take(np.argsort(rows.cell, kind="stable")))
    chosen = ", ".join(
        f"NULLIF(s.{name}, {ABSENT})" if _may_be_absent(name) else f"s.{name}" for name in values
    )
    statement = (
        f"INSERT INTO {table.name} AS t ({', '.join(values)}, geometry, revision)"
        f" SELECT {chosen}, ST_SetSRID(ST_MakePoint(s.lon, s.lat), 4326), {revision}"
        f" FROM {columns.unnest(values)}"
        f" {_on_conflict('IS DISTINCT FROM', (*values, 'geometry'))}"
    )
    return int(columns.many(c, statement, values).rowcount)


def _on_conflict(differs: str, names: Sequence[str]) -> str:
    sets = ", ".join(f"{name} = excluded.{name}" for name in (*names[1:], "revision"))
    facts = " OR ".join(f"t.{name} {differs} excluded.{name}" for name in FACTS)
    return f"ON CONFLICT (incident_id) DO UPDATE SET {sets} WHERE {facts}"


def _values(rows: IncidentRows) -> dict[str, Any]:
    """The columns by name, the id first."""
    values = {name: getattr(rows, name) for name in COLUMNS}
    names = np.array(SOURCES, dtype=object)
    # -0.0 + 0 is 0.0: equal numbers must be the same bytes.
    plain = {"lat": rows.lat + 0, "lon": rows.lon + 0, "cell": rows.cell.astype(np.int64)}
    return values | plain | {"source": names[rows.source]}


def _may_be_absent(name: str) -> bool:
    return name in ("occurred_to_us", "reported_at_us")


def _within(rows: IncidentRows) -> tuple[Ints, Ints, int]:
    """Positions of the first row of each id, of the last where an id has more, and changes between.

    In one batch without repeated ids: all, none and 0.
    """
    ids = rows.incident_id
    n = len(rows)
    if len(set(ids)) == n:
        return np.arange(n), np.empty(0, dtype=np.int64), 0
    place = {text: k for k, text in enumerate(dict.fromkeys(ids))}
    which = np.fromiter((place[text] for text in ids), np.int64, n)
    order = np.argsort(which, kind="stable")
    starts = np.flatnonzero(np.diff(which[order], prepend=-1))
    ends = np.append(starts[1:], n) - 1
    again = np.setdiff1d(np.arange(n), starts)
    changes = sum(_facts(rows, order[k]) != _facts(rows, order[k - 1]) for k in again)
    return order[starts], order[ends[ends > starts]], changes


def _facts(rows: IncidentRows, i: int) -> tuple[Any, ...]:
    return tuple(getattr(rows, name)[i] for name in FACTS)
