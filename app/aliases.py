"""What a unit is called by the systems that send its positions: set, removed, listed, looked up.

An identifier without an alias is taken for the call sign itself. An alias decides about what comes
in from then on; what is stored is never moved to another unit.
"""

import threading
import time
from collections.abc import Mapping

from app.checks import UNIT_ID_RULE, is_unit_id
from app.db import Database
from app.errors import Invalid, NotFound
from app.store import aliases as store
from app.store.units import unit_numbers

SOURCES = ("gpx", "nmea", "osmand", "owntracks", "taip", "traccar")
IDENTIFIER_LENGTH = 128
REMEMBERED_S = 2.0  # a changed alias holds after this at the latest


def set_alias(database: Database, source: str, identifier: str, unit_id: str) -> None:
    """Makes an identifier of a source stand for a unit, which is registered if it is not known.

    Raises Invalid for a source, an identifier or a call sign that cannot be.
    """
    if source not in SOURCES:
        raise Invalid(f"a source is one of {', '.join(SOURCES)}, not {source[:40]!r}")
    fits = 0 < len(identifier) <= IDENTIFIER_LENGTH and identifier.isprintable()
    if not fits or identifier != identifier.strip():
        raise Invalid(
            f"an identifier has 1 to {IDENTIFIER_LENGTH} printable characters and no blank at "
            "its ends"
        )
    if not is_unit_id(unit_id):
        raise Invalid(f"a unit's call sign {UNIT_ID_RULE}")
    with database.write() as c:
        store.put_alias(c, source, identifier, unit_numbers(c, [unit_id], register=True)[unit_id])


def remove_alias(database: Database, source: str, identifier: str) -> None:
    """Ends an alias. Raises NotFound where there is none."""
    with database.write() as c:
        if not store.remove_alias(c, source, identifier):
            raise NotFound(f"{identifier!r} of {source} stands for no unit")


def list_aliases(database: Database) -> list[store.Alias]:
    """Every alias, by source and identifier."""
    with database.read() as c:
        return store.list_aliases(c)


class Aliases:
    """Aliases looked up in the database, remembered for so long that a stream costs one query."""

    def __init__(self, database: Database) -> None:
        """Looks nothing up yet."""
        self._database = database
        self._known: dict[str, tuple[float, Mapping[str, str]]] = {}
        self._turn = threading.Lock()

    def of(self, source: str) -> Mapping[str, str]:
        """The call sign of each identifier of a source that has one. Raises DatabaseAway."""
        with self._turn:
            until, names = self._known.get(source, (0.0, {}))
            asked = time.monotonic()
            if asked >= until:
                with self._database.read() as c:
                    found = store.list_aliases(c, source)
                names = {alias.identifier: alias.unit_id for alias in found}
                self._known[source] = (asked + REMEMBERED_S, names)
            return names
