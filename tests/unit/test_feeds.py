"""Feed files, and what portals are asked."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import BadInput
from app.feeds import feed_of, read_feed
from app.feeds.body import Fault, inflated
from app.feeds.paging import BEGINNING, Position, cursor_of, position_of
from app.feeds.portals import portal_of
from app.feeds.records import rows_of
from app.profile import profile_of

SODA = {"kind": "socrata", "url": "https://data.example.org/resource/abcd-1234.json"}
ESRI = {"kind": "arcgis", "url": "https://gis.example.org/FeatureServer/0/query"}


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, "kind"),
        ({"kind": "ftp", "url": "https://a.b"}, "kind"),
        (SODA | {"url": "data.example.org"}, "https://"),
        (SODA | {"url": "file:///etc/hostname"}, "https://"),
        (SODA | {"url": "https://me:pass@data.example.org/"}, "password"),
        (SODA | {"updatecolumn": "x"}, "updatecolumn"),
        (SODA | {"page_size": 1}, "page_size"),
        (SODA | {"tries": 0}, "tries"),
        (ESRI | {"point_column": "p"}, "point_column"),
        (ESRI | {"update_timezone": "Mars/Base"}, "Mars"),
        ({"kind": "csv", "url": "https://a.b/c.csv", "where": "x = 1"}, "where"),
    ],
)
def test_a_feed_that_makes_no_sense_says_so(members: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        feed_of(members)


def test_a_feed_is_called_as_its_file_and_finds_the_profile_beside_it(tmp_path: Path) -> None:
    (tmp_path / "calls.toml").write_text('kind = "csv"\nurl = "https://a.b/c"\nprofile = "p.toml"')
    (tmp_path / "p.toml").write_text('id_prefix = "town-"')
    found = read_feed("calls", tmp_path)
    assert (found.name, found.profile.id_prefix) == ("calls", "town-")
    assert read_feed(tmp_path / "calls.toml", Path("nowhere")) == found
    (tmp_path / "p.toml").write_text('id_prefix = "city-"')
    assert read_feed("calls", tmp_path).digest != found.digest
    with pytest.raises(BadInput, match="no feed 'call'"):
        read_feed("call", tmp_path)


def test_socrata_is_asked_in_order_of_change_and_id() -> None:
    portal = portal_of(feed_of(SODA | {"update_column": ":updated_at", "where": "a = 'x'"}))
    assert portal.params(None, 0) == {
        "$select": ":*,*",
        "$order": ":updated_at,:id",
        "$limit": "1000",
        "$offset": "0",
        "$where": "(a = 'x') AND :updated_at IS NOT NULL",
    }
    query = portal.params("2026-03-01T00:00:00.000Z' OR 1=1", 3)
    assert query["$where"].endswith(":updated_at >= '2026-03-01T00:00:00.000Z'' OR 1=1'")
    assert portal.params("17", 0)["$where"].endswith(":updated_at >= 17")


def test_arcgis_is_asked_in_the_time_zone_that_its_server_reads_times_in() -> None:
    members = ESRI | {"update_column": "EditDate", "update_timezone": "America/Vancouver"}
    query = portal_of(feed_of(members)).params(1_488_322_493, 2)  # 2017-02-28T22:54:53Z
    assert query["where"] == "EditDate >= timestamp '2017-02-28 14:54:53'"
    assert query["orderByFields"] == "EditDate ASC,OBJECTID ASC"
    assert portal_of(feed_of(ESRI)).params(None, 0)["where"] == "1=1"


def test_points_of_socrata_are_places() -> None:
    feed = feed_of(SODA | {"point_column": "place"})
    body = b"""[
      {":id": "a", "place": {"type": "Point", "coordinates": [-79.5, 44.5]}},
      {":id": "b", "place": {"latitude": "44.25", "longitude": "-79.25"}},
      {":id": "c"}
    ]"""
    records = portal_of(feed).page(body).records
    rows, _ = rows_of(records, profile_of({}), 0)
    assert rows.lat is not None
    assert rows.lon is not None
    assert rows.lat[:2].tolist() == [44.5, 44.25]
    assert rows.lon[:2].tolist() == [-79.5, -79.25]
    assert rows.lat[2] != rows.lat[2]


def test_a_record_without_what_orders_it_is_an_error() -> None:
    with pytest.raises(BadInput, match=":id"):
        portal_of(feed_of(SODA)).page(b'[{"a": 1}]')
    update = ESRI | {"update_column": "EditDate"}
    with pytest.raises(BadInput, match="no date"):
        portal_of(feed_of(update)).page(
            b'{"features": [{"attributes": {"EditDate": "soon", "OBJECTID": 1}}]}'
        )


def test_cursors_are_read_back() -> None:
    for position in (BEGINNING, Position("2026-03-01", 2, "row-1"), Position(17, 1, "9")):
        assert position_of(cursor_of(position)) == position


def test_a_gzip_body_that_is_damaged_is_a_fault() -> None:
    with pytest.raises(Fault, match="damaged"):
        list(inflated([b"\x1f\x8bnot at all"]))
