"""What units are called elsewhere: set, changed, ended, and used by what is loaded."""

from pathlib import Path

import pytest

from app.aliases import REMEMBERED_S, Aliases, list_aliases, remove_alias, set_alias
from app.db import Database
from app.errors import Invalid, NotFound
from app.load import load_pings
from app.settings import Settings
from app.store.units import list_units

NOW_US = 1_704_326_400_000_000  # 2024-01-04
GPX = """<gpx version="1.1" creator="a" xmlns="http://www.topografix.com/GPX/1/1">
<trk><name>Joe's phone</name><trkseg>
<trkpt lat="44.5" lon="-79.8"><time>2024-01-03T12:00:00Z</time></trkpt></trkseg></trk></gpx>"""


def listed(database: Database) -> list[tuple[str, str, str]]:
    return [(a.source, a.identifier, a.unit_id) for a in list_aliases(database)]


def test_set_changed_and_ended(database: Database) -> None:
    set_alias(database, "taip", "0017", "4A12")
    set_alias(database, "nmea", "0017", "4A13")
    set_alias(database, "taip", "0017", "4A14")
    assert listed(database) == [("nmea", "0017", "4A13"), ("taip", "0017", "4A14")]
    remove_alias(database, "taip", "0017")
    assert listed(database) == [("nmea", "0017", "4A13")]
    with pytest.raises(NotFound):
        remove_alias(database, "taip", "0017")


@pytest.mark.parametrize(
    ("source", "identifier", "unit_id"),
    [
        ("fax", "1", "4A12"),
        ("taip", "", "4A12"),
        ("taip", " 1", "4A12"),
        ("taip", "x" * 129, "4A12"),
        ("taip", "a\0", "4A12"),
        ("taip", "1", "4A12 "),
        ("taip", "1", "x" * 65),
    ],
)
def test_what_cannot_be(database: Database, source: str, identifier: str, unit_id: str) -> None:
    with pytest.raises(Invalid):
        set_alias(database, source, identifier, unit_id)
    assert listed(database) == []


def test_remembered_for_a_moment(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    aliases = Aliases(database)
    assert aliases.of("taip") == {}
    set_alias(database, "taip", "0017", "4A12")
    assert aliases.of("taip") == {}
    assert REMEMBERED_S <= 5
    monkeypatch.setattr("app.aliases.REMEMBERED_S", 0)
    assert Aliases(database).of("taip") == {"0017": "4A12"}
    assert aliases.of("nmea") == {}


def test_a_gpx_file_is_loaded_under_the_call_sign(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    set_alias(database, "gpx", "Joe's phone", "4A12")
    path = tmp_path / "a.gpx"
    path.write_text(GPX)
    receipts = [load_pings(database, settings, path, "generic", NOW_US) for _ in range(2)]
    assert [(r["accepted"], r["duplicate"]) for r in receipts] == [(1, 0), (0, 1)]
    with database.read() as c:
        assert [unit.unit_id for unit in list_units(c)] == ["4A12"]
