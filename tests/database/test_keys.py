"""Keys: added, found by their hash, revoked."""

import pytest
from sqlalchemy.exc import IntegrityError

from app.db import Database
from app.store.keys import Key, add_key, find_key, list_keys, revoke_key


def test_a_key_is_found_until_it_is_revoked(database: Database) -> None:
    with database.write() as c:
        add_key(c, "gis", "aa", ["view"], 10)
        add_key(c, "avl", "bb", ["ingest", "view"], 20)
    with database.read() as c:
        assert find_key(c, "bb") == Key("avl", ("ingest", "view"), 20, None)
        assert find_key(c, "cc") is None
    with database.write() as c:
        assert revoke_key(c, "avl", 30)
        assert not revoke_key(c, "avl", 40)  # once is enough
        assert not revoke_key(c, "nobody", 40)
    with database.read() as c:
        assert find_key(c, "bb") is None
        assert find_key(c, "aa") is not None
        assert [(key.name, key.revoked_us) for key in list_keys(c)] == [("avl", 30), ("gis", None)]


@pytest.mark.parametrize(("name", "sha256"), [("gis", "bb"), ("avl", "aa")])
def test_a_name_and_a_key_are_taken_once(database: Database, name: str, sha256: str) -> None:
    with database.write() as c:
        add_key(c, "gis", "aa", ["view"], 10)
    with pytest.raises(IntegrityError), database.write() as c:
        add_key(c, name, sha256, ["view"], 10)
