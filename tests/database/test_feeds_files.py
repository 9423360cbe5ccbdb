"""Feeds that are files at an address: read whole, when they changed, or not at all."""

import gzip
import json

import pytest

from app.feeds.upstream import GivenUp
from tests.portal import Handler, Portal
from tests.puller import Puller, counts, stored

CSV = b"incident_id,occurred_from,lat,lon,category\na1,2026-02-01T12:00:00Z,44.4,-79.7,theft\n"
FEATURE = {
    "type": "Feature",
    "properties": {
        "incident_id": "a1",
        "occurred_from": "2026-02-01T12:00:00Z",
        "category": "theft",
    },
    "geometry": {"type": "Point", "coordinates": [-79.7, 44.4]},
}
GEORSS = b"""<?xml version="1.0"?>
<rss version="2.0" xmlns:georss="http://www.georss.org/georss"><channel><item>
<guid>a1</guid><pubDate>Sun, 01 Feb 2026 12:00:00 GMT</pubDate><category>theft</category>
<georss:point>44.4 -79.7</georss:point></item></channel></rss>
"""
FILES = {
    "csv": CSV,
    "ndjson": json.dumps(FEATURE["properties"] | {"lat": 44.4, "lon": -79.7}).encode() + b"\n",
    "geojson": json.dumps({"type": "FeatureCollection", "features": [FEATURE]}).encode(),
    "georss": GEORSS,
}
RSS_PROFILE = 'ignore = ["*"]\n[columns]\nincident_id = "id"\noccurred_from = "published"\n'


@pytest.fixture
def file_puller(puller: Puller) -> Puller:
    (puller.folder / "georss.toml").write_text(RSS_PROFILE)
    return puller


def profile_for(kind: str) -> str:
    return "georss.toml" if kind == "georss" else "profile.toml"


@pytest.mark.parametrize("kind", FILES)
def test_files_are_read_when_they_changed(file_puller: Puller, portal: Portal, kind: str) -> None:
    pull_it = lambda: file_puller(kind, "/calls", profile=profile_for(kind))  # noqa: E731  short
    portal.files["/calls"] = FILES[kind]
    assert counts(pull_it()) == (1, 0, 0)
    assert stored(file_puller.database) == {"a1": "theft"}
    again = pull_it()
    assert (counts(again), again.receipt["unchanged"]) == ((0, 0, 0), True)
    assert "If-None-Match" in portal.headers[-1]
    assert again.receipt["bytes"] == 0  # 304
    portal.files["/calls"] = gzip.compress(FILES[kind].replace(b"theft", b"arson"))
    changed = pull_it()
    assert (counts(changed), changed.receipt["unchanged"]) == ((1, 0, 0), False)
    portal.etags = False
    same = pull_it()
    assert (counts(same), same.receipt["unchanged"]) == ((0, 0, 0), True)
    assert same.receipt["bytes"] > 0


@pytest.mark.parametrize("kind", FILES)
def test_half_a_file_is_none(file_puller: Puller, portal: Portal, kind: str) -> None:
    half = FILES[kind][: -len(FILES[kind]) // 3]

    def unframed(h: Handler) -> None:
        h.send_response(200)
        h.end_headers()
        h.wfile.write(half)
        h.close_connection = True

    portal.forever = unframed
    pulled = file_puller(kind, "/calls", tries=2, profile=profile_for(kind))
    assert isinstance(pulled.failure, GivenUp), pulled
    assert stored(file_puller.database) == {}
