"""Two snapshots of a city's GeoRSS feed of dispatched calls, as a file and over HTTP."""

import gzip
import re
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.feeds import feed_of, pull, source_of
from app.load import load_incidents
from app.settings import Settings
from app.tables import incidents
from tests.portal import Portal

DATA = Path(__file__).parents[3] / "shared" / "data" / "avl_protocol_samples"
NAMES = ("portland_911incidents.georss.xml.gz", "portland_911incidents_2.georss.xml.gz")
NOW_US = 1_780_000_000_000_000

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the published data is not in {DATA}"),
]


def police(name: str) -> dict[str, tuple[str, str]]:
    """Latitude and category of the calls that the police answers, read the simplest way."""
    text = gzip.decompress((DATA / name).read_bytes()).decode()
    found = {}
    for entry in text.split("<entry>")[1:]:
        ident, place, kind = (
            re.search(pattern, entry)
            for pattern in ("<id>(.*?)<", "<georss:point>(.*?) ", 'label="(.*?)"')
        )
        assert ident and place and kind  # noqa: PT018  one thing: it is an entry
        if "[Portland Police #" in entry:
            found["pdx-" + ident[1]] = (f"{float(place[1]):.6f}", kind[1])
    return found


def stored(database: Database) -> dict[str, tuple[str, str]]:
    query = select(incidents.c.incident_id, incidents.c.lat, incidents.c.category)
    with database.read() as c:
        return {name: (f"{lat:.6f}", kind) for name, lat, kind in c.execute(query)}


def test_as_files(database: Database, settings: Settings) -> None:
    first, second = (
        load_incidents(database, settings, DATA / name, "portland_calls", NOW_US) for name in NAMES
    )
    # 100 entries each, of which the fire service answers 22 and 29.
    assert (first["received"], first["accepted"], first["excluded"]) == (78, 78, 22)
    assert (second["received"], second["rejected"], second["excluded"]) == (71, 0, 29)
    assert stored(database) == police(NAMES[0]) | police(NAMES[1])
    with database.read() as c:
        first_us = c.scalar(select(func.min(incidents.c.occurred_from_us)))
    assert first_us is not None
    assert first_us // 86_400_000_000 == 17_225  # 28 February 2017


def test_over_http(database: Database, settings: Settings, tmp_path: Path) -> None:
    portal = Portal()
    try:
        members = {"kind": "georss", "url": f"{portal.url}/calls", "profile": "portland_calls"}
        source = source_of("portland", feed_of(members), tmp_path)
        for name in NAMES:
            portal.files["/calls"] = (DATA / name).read_bytes()
            pulled = pull(database, settings, source, lambda: NOW_US, threading.Event())
            assert pulled.failure is None
        assert stored(database) == police(NAMES[0]) | police(NAMES[1])
    finally:
        portal.close()
