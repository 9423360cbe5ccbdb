"""A portal that may misbehave, and one who pulls from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from app.settings import Settings
from tests.portal import Portal
from tests.puller import Puller


@pytest.fixture
def portal() -> Iterator[Portal]:
    server = Portal()
    yield server
    server.close()


@pytest.fixture
def puller(database: Database, settings: Settings, tmp_path: Path, portal: Portal) -> Puller:
    return Puller(database, settings, tmp_path, portal.url)
