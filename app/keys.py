"""API keys: made, listed and revoked. A key is shown once and kept only as its SHA-256."""

import hashlib
import secrets
from collections.abc import Sequence

from app.checks import UNIT_ID_RULE, is_unit_id
from app.db import Database
from app.errors import Conflict, Invalid, NotFound
from app.store import keys

PREFIX = "fp_"
SCOPES = ("ingest", "view", "plan", "admin")
KEY_BYTES = 32  # 256 bits: nothing that can be guessed, so a plain hash of it is safe to keep


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def add_key(
    database: Database,
    name: str,
    scopes: Sequence[str],
    now_us: int,
    units: Sequence[str] | None = None,
) -> str:
    """A new key of that name; with `units` it sends pings of these call signs only.

    Raises Invalid for a name, scope or unit that cannot be, Conflict for a name that is taken.
    """
    if not name or name != name.strip() or not name.isprintable() or len(name) > 64:
        raise Invalid("a key's name has 1 to 64 printable characters and no blank at its ends")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid(f"a key needs scopes among {', '.join(SCOPES)}, not {', '.join(unknown)}")
    if units is not None:
        _check_units(units, scopes)
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    with database.write() as connection:
        known = keys.list_keys(connection)
        if any(found.name == name and found.revoked_us is None for found in known):
            raise Conflict(f"a key called {name} exists; revoke it or choose another name")
        mine = None if units is None else list(dict.fromkeys(units))
        keys.add_key(connection, name, digest_of(key), list(dict.fromkeys(scopes)), now_us, mine)
    return key


def _check_units(units: Sequence[str], scopes: Sequence[str]) -> None:
    if "ingest" not in scopes or "admin" in scopes:
        raise Invalid("units limit what a key may send; they need scope ingest, and not admin")
    for unit in units:
        if not is_unit_id(unit):
            raise Invalid(f"unit {unit[:80]!r}: a call sign {UNIT_ID_RULE}")


def list_keys(database: Database) -> list[keys.Key]:
    """Every key, revoked ones too, by name."""
    with database.read() as connection:
        return keys.list_keys(connection)


def revoke_key(database: Database, name: str, now_us: int) -> None:
    """Ends a key. Raises NotFound for a name that no active key has."""
    with database.write() as connection:
        if not keys.revoke_key(connection, name, now_us):
            raise NotFound(f"no active key is called {name}")
