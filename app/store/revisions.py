"""Counters of changes, each raised in the transaction that makes the change.

Whoever raises one keeps others from raising it until the transaction ends; so numbers taken from it
become visible in their order, and whoever has read up to a number has missed nothing below it.
"""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from app.tables import revisions


def next_revision(c: Connection, name: str) -> int:
    """Counts one more change of that name, and says which it is; the first is 1."""
    kind = postgresql if c.dialect.name == "postgresql" else sqlite
    t = revisions.c
    first = kind.insert(revisions).values(name=name, revision=1)
    raised = first.on_conflict_do_update(
        index_elements=["name"], set_={"revision": t.revision + 1}
    ).returning(t.revision)
    return int(c.scalars(raised).one())


def revision_of(c: Connection, name: str) -> int:
    """The number of the last change of that name; 0 before the first."""
    return int(c.scalar(select(revisions.c.revision).where(revisions.c.name == name)) or 0)
