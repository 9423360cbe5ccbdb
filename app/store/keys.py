"""API keys, known only by the SHA-256 of their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, null, select, update

from app.tables import api_keys


@dataclass(frozen=True)
class Key:
    """A key without its text; `revoked_us` is None while it works.

    `units`: the call signs that it may send pings of; None for all.
    """

    name: str
    scopes: tuple[str, ...]
    created_us: int
    revoked_us: int | None
    units: tuple[str, ...] | None = None


_KEY = tuple(api_keys.c[name] for name in Key.__dataclass_fields__)


def add_key(
    c: Connection,
    name: str,
    sha256: str,
    scopes: Sequence[str],
    created_us: int,
    units: Sequence[str] | None = None,
) -> None:
    """Stores a key, in the place of a revoked one of that name.

    Raises IntegrityError where a working key has the name, or the key is taken.
    """
    c.execute(delete(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_us.is_not(None)))
    mine = null() if units is None else list(units)
    c.execute(
        insert(api_keys).values(
            name=name, sha256=sha256, scopes=list(scopes), created_us=created_us, units=mine
        )
    )


def list_keys(c: Connection) -> list[Key]:
    """All keys, revoked ones too, by name."""
    return [_key(row) for row in c.execute(select(*_KEY).order_by(api_keys.c.name))]


def find_key(c: Connection, sha256: str) -> Key | None:
    """The working key with that hash; None where it is unknown or revoked."""
    query = select(*_KEY).where(api_keys.c.sha256 == sha256, api_keys.c.revoked_us.is_(None))
    row = c.execute(query).first()
    return None if row is None else _key(row)


def revoke_key(c: Connection, name: str, now_us: int) -> bool:
    """Whether a working key of that name was ended."""
    mine = (api_keys.c.name == name) & api_keys.c.revoked_us.is_(None)
    return c.execute(update(api_keys).where(mine).values(revoked_us=now_us)).rowcount > 0


def _key(row: Any) -> Key:
    units = None if row.units is None else tuple(row.units)
    return Key(row.name, tuple(row.scopes), row.created_us, row.revoked_us, units)
