import json
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from sqlalchemy import func, select

from app import intake, simulate
from app.db import Database
from app.demo.feed import BATCH, incident_items, ping_items, shift_at
from app.demo.load import load_town
from app.demo.run import DATABASE_URL, demo_settings
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US, SECOND_US
from app.tables import districts, incidents, pings, units

TOWN = simulate.town(7)
NOW_US = 1_763_827_200 * SECOND_US  # 2025-11-22T16:00:00Z, 11:00 in Toronto, a Saturday
FROM_US = NOW_US - DAY_US


@pytest.fixture
def loaded(settings: Settings, database: Database) -> tuple[Settings, Database]:
    kept = demo_settings(settings)
    load_town(database, kept, TOWN, FROM_US, NOW_US)
    return kept, database


def _counts(database: Database) -> list[int]:
    with database.read() as c:
        return [
            c.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (districts, units, incidents, pings)
        ]


def test_the_town_is_loaded_as_it_was_known(loaded: tuple[Settings, Database]) -> None:
    _, database = loaded
    reports = simulate.pings(TOWN, FROM_US, NOW_US)
    known = reports.pings.take(reports.sent_us <= NOW_US)
    pairs = np.unique(np.stack([known.unit, known.time_us]), axis=1).shape[1]  # some come twice
    records = simulate.incidents(TOWN, FROM_US, NOW_US)
    assert _counts(database) == [3, 12, len(records), pairs]


def test_loading_again_adds_only_what_is_new(loaded: tuple[Settings, Database]) -> None:
    settings, database = loaded
    before = _counts(database)
    load_town(database, settings, TOWN, FROM_US, NOW_US)
    assert _counts(database) == before
    later_us = NOW_US + 2 * HOUR_US
    load_town(database, settings, TOWN, FROM_US, later_us)
    reports = simulate.pings(TOWN, FROM_US, later_us)
    known = reports.pings.take(reports.sent_us <= later_us)
    pairs = np.unique(np.stack([known.unit, known.time_us]), axis=1).shape[1]
    assert _counts(database)[3] == pairs > before[3]


def test_what_goes_over_http_is_what_was_loaded(loaded: tuple[Settings, Database]) -> None:
    # Facts that are there already, sent as the feed sends them, are duplicates to the last bit.
    settings, database = loaded
    reports = simulate.pings(TOWN, FROM_US, NOW_US)
    known = reports.pings.take(reports.sent_us <= NOW_US).take(slice(-BATCH, None))
    body = json.dumps(ping_items(TOWN, known)).encode()
    call = intake.Call(partial(intake.decoded_pings, body, None, None))
    (receipt,) = intake.accept_pings(database, settings, [call], NOW_US).outcomes
    assert isinstance(receipt, intake.Receipt)
    assert (receipt.received, receipt.duplicate) == (BATCH, BATCH)
    records = simulate.incidents(TOWN, FROM_US, NOW_US)
    body = json.dumps(incident_items(records)).encode()
    receipt = intake.accept_incidents(database, settings, body, None, None, NOW_US)
    assert (receipt.received, receipt.duplicate) == (len(records), len(records))


@pytest.mark.parametrize(
    ("moment", "name", "day"),
    [
        ("2025-11-22T11:59:59", "night", "2025-11-21"),  # 06:59 local: still yesterday's night
        ("2025-11-22T12:00:00", "day", "2025-11-22"),
        ("2025-11-22T20:00:00", "evening", "2025-11-22"),
        ("2025-11-23T04:00:00", "night", "2025-11-22"),
    ],
)
def test_the_current_shift_belongs_to_the_day_it_began_on(moment: str, name: str, day: str) -> None:
    at_us = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * SECOND_US
    shift, began = shift_at(TOWN, at_us)
    assert (shift.name, began.isoformat()) == (name, day)
    assert shift.start_us <= at_us < shift.end_us


def test_the_demo_keeps_to_itself_unless_told_where(settings: Settings) -> None:
    assert demo_settings(Settings()).database_url == DATABASE_URL
    assert demo_settings(Settings()).retention_days == 0
    assert demo_settings(settings).database_url == settings.database_url
