"""What a unit is called by the systems that send its positions."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.tables import unit_aliases, units


@dataclass(frozen=True)
class Alias:
    """An identifier of a source, and the call sign of the unit that it stands for."""

    source: str
    identifier: str
    unit_id: str


def put_alias(c: Connection, source: str, identifier: str, unit: int) -> None:
    """Makes an identifier stand for the unit of that number, whatever it stood for before."""
    kind = postgresql if c.dialect.name == "postgresql" else sqlite
    insert = kind.insert(unit_aliases)
    upsert = insert.on_conflict_do_update(
        index_elements=["source", "identifier"], set_={"unit": insert.excluded.unit}
    )
    c.execute(upsert, {"source": source, "identifier": identifier, "unit": unit})


def remove_alias(c: Connection, source: str, identifier: str) -> bool:
    """Whether there was such an identifier; now there is none."""
    mine = (unit_aliases.c.source == source) & (unit_aliases.c.identifier == identifier)
    return bool(c.execute(delete(unit_aliases).where(mine)).rowcount)


def list_aliases(c: Connection, source: str | None = None) -> list[Alias]:
    """The aliases of a source (None: of all), by source and identifier."""
    query = select(unit_aliases.c.source, unit_aliases.c.identifier, units.c.unit_id).join(units)
    if source is not None:
        query = query.where(unit_aliases.c.source == source)
    ordered = query.order_by(unit_aliases.c.source, unit_aliases.c.identifier)
    return [Alias(*row) for row in c.execute(ordered)]
