"""What holds for every test, and the databases: the same tests on SQLite and on a real PostGIS.

In CI nothing may be left out; elsewhere, what is left out is said. PostGIS is the server at
FOCUS_PATROL_TEST_POSTGRES (a URL that may create databases), or else a throw-away one started from
the programs of PostgreSQL on this machine, one per worker of pytest-xdist.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, create_engine, make_url, text

from app.db import Database
from app.migrate import migrate
from app.settings import Settings
from app.tables import metadata

CI = os.environ.get("CI", "").lower() in ("1", "true")


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
    with _maintenance(make_url(postgis_migrated.database_url)) as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))  # noqa: S608  our tables
        connection.execute(text("INSERT INTO revisions VALUES ('incidents', 0)"))
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
    with _maintenance(postgis_server) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = postgis_server.set(database=name)
    settings = settings_for(url.render_as_string(hide_password=False))
    migrate(settings)
    yield settings
    with _maintenance(postgis_server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[URL]:
    """A PostgreSQL server that has PostGIS, by the URL of a database to create others from."""
    given = os.environ.get("FOCUS_PATROL_TEST_POSTGRES")
    if given:
        yield make_url(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="focus-patrol-pg-"))
    server = PostgresServer(folder)
    try:
        server.create()
        server.start()
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """A throw-away PostgreSQL that flushes to disk as a real one, reached by a socket in `folder`.

    No port is opened, so that any number of them can run side by side.
    """

    def __init__(self, folder: Path) -> None:
        """Creates and starts nothing yet. Skips the test where PostgreSQL is not installed."""
        self.folder = folder
        self.url = make_url(f"postgresql+psycopg://postgres@/postgres?host={folder}")
        self._programs = _postgres_programs()

    def create(self) -> None:
        """Makes an empty cluster."""
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=60"
        self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` as a loss of power would. Nothing where it does not run."""
        with suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "stop", "-w", "-m", mode)

    def _run(self, program: str, *arguments: str) -> None:
        as_whom = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_whom, self._programs / program, "-D", self.folder / "data", *arguments]
        subprocess.run(
            command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def settings_for(database_url: str, **others: Any) -> Settings:
    """Settings of a database, with a short patience so that tests of failures are quick."""
    return Settings(database_url=database_url, **{"busy_timeout_s": 2.0, **others})


def _postgres_programs() -> Path:
    """Where initdb and pg_ctl are, of the newest version. Skips the test where they are not."""
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostGIS: there is no user postgres to run it as")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        pytest.skip("PostGIS: neither FOCUS_PATROL_TEST_POSTGRES nor a local PostgreSQL")
    return found[-1].parent if found else Path(str(on_path)).parent


@contextmanager
def _maintenance(url: URL) -> Iterator[Connection]:
    """A connection on which each statement stands by itself."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
