"""What holds for every test, and the databases: the same tests on SQLite and on a real PostGIS.

In CI nothing may be left out; elsewhere, what is left out is said. PostGIS is the server at
FOCUS_PATROL_TEST_POSTGRES (a URL that may create databases), or else a throw-away one started from
the programs of PostgreSQL on this machine, one per worker of pytest-xdist.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, delete, func, insert, make_url, select, text

from app.db import Database
from app.migrate import migrate
from app.settings import Settings
from app.tables import metadata
from tests.postgres import NotInstalled, PostgresServer, maintenance, settings_for

CI = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--runs 20`: how often the service is killed under load."""
    parser.addoption("--runs", type=int, default=2, help="how often the service is killed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself in CI has failed."""
    return _no_skip_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """And so has a file that skips itself."""
    return _no_skip_in_ci((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly what this machine could not run, and what it would need."""
    left_out = terminalreporter.getreports("skipped")
    if not left_out:
        return
    terminalreporter.section(f"LEFT OUT ON THIS MACHINE: {len(left_out)}", sep="!", red=True)
    reasons = [_reason(report) for report in left_out]
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason):4d} x {reason}", yellow=True)


def _no_skip_in_ci(report: Any) -> Any:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not be left out in CI: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(text).removeprefix("Skipped: ")


@pytest.fixture(params=["sqlite", "postgis"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings with an empty, migrated database; each test that asks runs on both."""
    result: Settings = request.getfixturevalue(f"{request.param}_settings")
    return result


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty, migrated database; each test that asks runs on both."""
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """An empty, migrated SQLite file."""
    path = tmp_path / "focus-patrol.db"
    shutil.copy(sqlite_template, path)
    return settings_for(f"sqlite:///{path}")


@pytest.fixture
def postgis_settings(postgis_migrated: Settings) -> Settings:
    """An empty, migrated PostGIS database."""
    with maintenance(make_url(postgis_migrated.database_url)) as connection:
        # Thirty times as fast as TRUNCATE, which makes and flushes new files for every table.
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        for name, column in (("units", "unit"), ("incidents", "incident")):
            sequence = func.pg_get_serial_sequence(name, column)
            connection.execute(select(func.setval(sequence, 1, False)))
        connection.execute(
            insert(metadata.tables["revisions"]), {"name": "incidents", "revision": 0}
        )
    return postgis_migrated


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(settings_for(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgis_migrated(postgis_server: URL) -> Iterator[Settings]:
    """One migrated database on the server, for this worker alone."""
    name = f"focus_patrol_test_{uuid.uuid4().hex[:12]}"
    with maintenance(postgis_server) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = postgis_server.set(database=name)
    settings = settings_for(url.render_as_string(hide_password=False))
    migrate(settings)
    yield settings
    with maintenance(postgis_server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[URL]:
    """A PostgreSQL server that has PostGIS, by the URL of a database to create others from."""
    given = os.environ.get("FOCUS_PATROL_TEST_POSTGRES")
    if given:
        yield make_url(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="focus-patrol-pg-"))
    try:
        server = PostgresServer(folder)
    except NotInstalled as error:
        pytest.skip(str(error))
    try:
        server.create()
        server.start()
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="focus-patrol-pg-"))
    try:
        server = PostgresServer(folder)
    except NotInstalled as error:
        pytest.skip(str(error))
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
