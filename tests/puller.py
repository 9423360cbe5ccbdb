"""Pulls feeds from the portal of the tests, and looks at what came of it."""

import threading
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.db import Database
from app.feeds import Pulled, feed_of, pull, source_of
from app.settings import Settings
from app.tables import incidents
from tests.portal import Portal

NOW_US = 1_780_000_000_000_000  # May 2026
PROFILE = 'time_formats = ["rfc3339", "unix_ms"]\nignore = ["changed", "OBJECTID"]\n'


class Puller:
    """Pulls one feed, again and again."""

    def __init__(self, database: Database, settings: Settings, folder: Path, url: str) -> None:
        self.database, self.settings, self.folder, self.url = database, settings, folder, url
        (folder / "profile.toml").write_text(PROFILE)

    def __call__(self, kind: str = "socrata", path: str = "", **members: Any) -> Pulled:
        """A pull; every wait is short, and five rows are a page."""
        quick = {"retry_s": 0.01, "timeout_s": 0.4, "deadline_s": 0.6, "profile": "profile.toml"}
        paged = {"update_column": "changed", "page_size": 5} if path == "" else {}
        feed = feed_of(
            {"kind": kind, "url": self.url + (path or f"/{kind}"), **quick, **paged, **members}
        )
        source = source_of("calls", feed, self.folder)
        return pull(self.database, self.settings, source, lambda: NOW_US, threading.Event())


def stored(database: Database) -> dict[str, str]:
    """Categories by id."""
    with database.read() as c:
        return dict(c.execute(select(incidents.c.incident_id, incidents.c.category)).all())


def published(portal: Portal) -> dict[str, str]:
    return {name: row["category"] for name, row in portal.rows.items()}


def counts(pulled: Pulled) -> tuple[int, int, int]:
    assert pulled.failure is None, pulled
    receipt = pulled.receipt
    assert receipt["received"] == sum(receipt[k] for k in ("accepted", "duplicate", "rejected"))
    return receipt["accepted"], receipt["duplicate"], receipt["rejected"]


def some(portal: Portal, count: int, seconds: int | None = None) -> None:
    for k in range(1, count + 1):
        portal.put(f"c{k:03d}", k if seconds is None else seconds)
