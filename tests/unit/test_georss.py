"""GeoRSS as a file: Atom, RSS and their points, and XML that means harm."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from app.errors import BadInput
from app.files import incidents_of_rows, open_rows
from app.files.mapping import Numbering
from app.instants import ABSENT
from app.profile import Profile, profile_of

PROFILE = profile_of(
    {"ignore": ["*"], "columns": {"incident_id": "id", "occurred_from": "published"}}
)
ATOM = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:georss="http://www.georss.org/georss"
  xmlns:gml="http://www.opengis.net/gml">
<id>not an entry's</id><title>Calls</title>
<entry><id>a1</id><published>2017-02-28T14:54:53.0-08:00</published>
  <category term="THEFT &amp; MORE"/><category term="second"/>
  <georss:point>45.5 -122.75</georss:point></entry>
<entry><id>a2</id><published>2017-02-28T22:54:53Z</published><category>FRAUD</category>
  <georss:where><gml:Point><gml:pos>45.5 -122.5</gml:pos></gml:Point></georss:where></entry>
<entry><id>a3</id></entry>
</feed>"""
RSS = """<rss version="2.0" xmlns:geo="http://www.w3.org/2003/01/geo/wgs84_pos#"><channel>
<item><guid>r1</guid><pubDate>Tue, 28 Feb 2017 14:54:53 -0800</pubDate><category>THEFT</category>
  <geo:lat>45.5</geo:lat><geo:long>-122.75</geo:long></item>
<item><guid>r2</guid><pubDate>yesterday</pubDate>
  <geo:Point><geo:lat>45.5</geo:lat> <geo:long>-122.5</geo:long></geo:Point></item>
</channel></rss>"""
MOMENT_US = 1_488_322_493_000_000  # 2017-02-28T22:54:53Z


def read(path: Path, content: str | bytes, profile: Profile = PROFILE, rows: int = 2) -> list:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = open_rows(path, profile, "incidents", rows)
    numbering = Numbering()
    return [incidents_of_rows(some, source.layout, numbering).columns for some in source.rows]


def test_atom(tmp_path: Path) -> None:
    first, second = read(tmp_path / "calls.georss.xml", ATOM)
    assert first.incident_id.tolist() == ["a1", "a2"]
    assert first.occurred_from_us.tolist() == [MOMENT_US, MOMENT_US]
    assert first.category.texts() == ["THEFT & MORE", "FRAUD"]
    assert (first.lat.tolist(), first.lon.tolist()) == ([45.5, 45.5], [-122.75, -122.5])
    assert second.incident_id.tolist() == ["a3"]
    assert second.occurred_from_us.tolist() == [ABSENT]
    assert np.isnan(second.lat[0])


def test_rss(tmp_path: Path) -> None:
    (calls,) = read(tmp_path / "calls.rss.gz", gzip.compress(RSS.encode()))
    assert calls.incident_id.tolist() == ["r1", "r2"]
    assert calls.occurred_from_us[0] == MOMENT_US
    assert calls.occurred_from_us[1] < MOMENT_US  # none
    assert (calls.lat.tolist(), calls.lon.tolist()) == ([45.5, 45.5], [-122.75, -122.5])


ENTITIES = """<!DOCTYPE feed [<!ENTITY a "{}"><!ENTITY b "{}"><!ENTITY c SYSTEM "file://{}">]>
<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>&{};</id></entry></feed>"""


@pytest.mark.parametrize("name", ["b", "c"])
def test_entities_reach_no_file_and_do_not_unfold(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    with pytest.raises(BadInput, match="document type"):
        read(tmp_path / "a.xml", ENTITIES.format("a" * 1000, "&a;" * 1000, secret, name))


@pytest.mark.parametrize("content", [ATOM[:-10], ATOM.replace("</id>", "", 1), "<feed/>x", "<feed"])
def test_what_is_no_xml_says_so(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInput, match="well-formed"):
        read(tmp_path / "a.xml", content)


def test_an_empty_feed_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "a.atom", '<feed xmlns="http://www.w3.org/2005/Atom"/>') == []
