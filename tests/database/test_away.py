"""A database that is away: DatabaseAway, nothing stored, nothing broken, recovery by itself."""

import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError

from app.db import Database
from app.errors import DatabaseAway
from app.geo.fixes import Pings, pings_of
from app.migrate import migrate
from app.settings import Settings
from app.store.keys import list_keys
from app.store.pings import add_pings, read_pings
from app.store.units import unit_numbers
from tests.postgres import PostgresServer, settings_for


def some_pings(count: int, start: int = 0) -> Pings:
    place = np.full(count, 37.0)
    return pings_of(np.full(count, 1), start + np.arange(count), place, -place)


def add(database: Database, batch: Pings) -> int:
    with database.write() as c:
        unit_numbers(c, ["car"], register=True)
        return int(add_pings(c, batch).sum())


def stored(database: Database) -> int:
    with database.read() as c:
        return len(read_pings(c, None, -(2**62), 2**62))


@pytest.fixture
def sqlite(sqlite_settings: Settings) -> Iterator[Database]:
    with closing(Database(sqlite_settings)) as database:
        yield database


def path_of(settings: Settings) -> Path:
    return Path(str(make_url(settings.database_url).database))


HOLD = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
c.execute("INSERT INTO units (unit_id) VALUES ('theirs')")
print("held", flush=True)
sys.stdin.read()
"""


def test_sqlite_locked_by_another_process(sqlite: Database, sqlite_settings: Settings) -> None:
    command = [sys.executable, "-c", HOLD, str(path_of(sqlite_settings))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        began = time.monotonic()
        with pytest.raises(DatabaseAway, match="locked"):
            add(sqlite, some_pings(10))
        assert 1.5 < time.monotonic() - began < 4  # the patience of these settings is 2 s
        assert stored(sqlite) == 0  # reading goes on meanwhile
        other.send_signal(signal.SIGKILL)
    assert add(sqlite, some_pings(10)) == 10


def test_a_write_waits_for_a_lock_that_is_released_in_time(
    sqlite: Database, sqlite_settings: Settings
) -> None:
    held = sqlite3.connect(path_of(sqlite_settings), isolation_level=None, check_same_thread=False)
    held.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, held.rollback)
    release.start()
    assert add(sqlite, some_pings(10)) == 10
    release.join()
    held.close()


def test_writers_of_one_process_wait_for_each_other(sqlite: Database) -> None:
    started, done = threading.Event(), threading.Event()

    def long_write() -> None:
        with sqlite.write():
            started.set()
            done.wait(10)

    thread = threading.Thread(target=long_write)
    thread.start()
    started.wait(10)
    with pytest.raises(DatabaseAway, match="busy"):
        add(sqlite, some_pings(10))
    done.set()
    thread.join()
    assert add(sqlite, some_pings(10)) == 10


def test_sqlite_that_may_only_be_read(sqlite: Database, sqlite_settings: Settings) -> None:
    add(sqlite, some_pings(10))
    uri = f"sqlite:///file:{path_of(sqlite_settings)}?mode=ro&uri=true"
    with closing(Database(settings_for(uri))) as read_only:
        with pytest.raises(DatabaseAway, match="readonly"):
            add(read_only, some_pings(10, 100))
        assert stored(read_only) == 10
    assert add(sqlite, some_pings(10, 100)) == 10


def test_sqlite_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    settings = settings_for(f"sqlite:///{tmp_path}/later/focus-patrol.db")
    with closing(Database(settings)) as database:
        with pytest.raises(DatabaseAway, match="unable to open"):
            stored(database)
        (tmp_path / "later").mkdir()
        migrate(settings)
        assert add(database, some_pings(10)) == 10


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "focus-patrol.db"
    path.write_bytes(b"a letter to the sheriff" * 1000)
    away = pytest.raises(DatabaseAway, match="not a database")
    with closing(Database(settings_for(f"sqlite:///{path}"))) as database, away:
        stored(database)


def test_a_database_without_tables_says_what_to_do(
    tmp_path: Path, postgis_server: object, postgis_settings: Settings
) -> None:
    server = make_url(postgis_settings.database_url).set(database="postgres")
    empty = [f"sqlite:///{tmp_path}/empty.db", server.render_as_string()]
    for url in empty:
        with closing(Database(settings_for(url))) as database:
            with pytest.raises(DatabaseAway, match="focus-patrol migrate"):
                stored(database)
            with pytest.raises(DatabaseAway, match="focus-patrol migrate"), database.read() as c:
                list_keys(c)


def test_a_wrong_query_is_not_an_absent_database(postgis_settings: Settings) -> None:
    wrong = pytest.raises(ProgrammingError)
    with closing(Database(postgis_settings)) as database, wrong, database.read() as c:
        c.execute(text("SELEKT 1"))


def intact(settings: Settings) -> bool:
    with closing(sqlite3.connect(path_of(settings))) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_sqlite_that_has_reached_its_size(sqlite: Database, sqlite_settings: Settings) -> None:
    assert add(sqlite, some_pings(100)) == 100
    with sqlite.engine.connect() as c:  # the one connection of the pool
        pages = int(c.exec_driver_sql("PRAGMA page_count").scalar_one())
        c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DatabaseAway, match="full"):
        add(sqlite, some_pings(50_000, 1_000))
    assert stored(sqlite) == 100
    assert intact(sqlite_settings)
    with sqlite.engine.connect() as c:
        c.exec_driver_sql(f"PRAGMA max_page_count = {2**30}")
    assert add(sqlite, some_pings(50_000, 1_000)) == 50_000


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_sqlite_on_a_disk_that_is_full(sqlite: Database, sqlite_settings: Settings) -> None:
    assert add(sqlite, some_pings(100)) == 100
    with largest_file(256 * 1024), pytest.raises(DatabaseAway, match=r"full|I/O"):
        add(sqlite, some_pings(50_000, 1_000))
    assert stored(sqlite) == 100
    assert intact(sqlite_settings)
    assert add(sqlite, some_pings(50_000, 1_000)) == 50_000
    assert intact(sqlite_settings)


def test_a_process_killed_inside_a_write_leaves_nothing(
    sqlite: Database, sqlite_settings: Settings
) -> None:
    command = [sys.executable, "-c", HOLD, str(path_of(sqlite_settings))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.send_signal(signal.SIGKILL)
    with sqlite.read() as c:
        assert c.execute(text("SELECT count(*) FROM units")).scalar_one() == 0
    assert intact(sqlite_settings)


def test_a_server_that_is_not_there() -> None:
    settings = settings_for("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with closing(Database(settings)) as database:
        began = time.monotonic()
        with pytest.raises(DatabaseAway, match="refused"):
            stored(database)
        with pytest.raises(DatabaseAway, match="refused"):
            add(database, some_pings(1))
        assert time.monotonic() - began < 10


def test_a_server_that_stops_and_starts_again(own_server: PostgresServer) -> None:
    settings = settings_for(own_server.url.render_as_string())
    migrate(settings)
    with closing(Database(settings)) as database:
        assert add(database, some_pings(100)) == 100
        own_server.stop("immediate")  # as a loss of power: only what was flushed survives
        for _ in range(2):
            with pytest.raises(DatabaseAway):
                stored(database)
            with pytest.raises(DatabaseAway):
                add(database, some_pings(100, 1_000))
        own_server.start()
        assert stored(database) == 100
        assert add(database, some_pings(100, 1_000)) == 100

        def stopped_between() -> None:
            with database.write() as c:
                add_pings(c, some_pings(100, 2_000))
                own_server.stop("immediate")
                add_pings(c, some_pings(100, 3_000))

        with pytest.raises(DatabaseAway):
            stopped_between()
        own_server.start()
        assert stored(database) == 200
        assert add(database, some_pings(100, 2_000)) == 100


def test_a_session_ended_by_the_administrator(postgis_settings: Settings) -> None:
    def killed_before_commit(database: Database) -> None:
        with database.write() as c:
            add_pings(c, some_pings(10, 100))
            pid = c.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.write() as admin:
                admin.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    with (
        closing(Database(postgis_settings)) as database,
        closing(Database(postgis_settings)) as other,
    ):
        assert add(database, some_pings(10)) == 10
        with pytest.raises(DatabaseAway):
            killed_before_commit(database)
        assert stored(database) == 10
        assert add(database, some_pings(10, 100)) == 10


def test_postgres_locked_for_too_long(postgis_settings: Settings) -> None:
    with (
        closing(Database(postgis_settings)) as database,
        closing(Database(postgis_settings)) as other,
    ):
        add(database, some_pings(10))
        with other.write() as c:
            add_pings(c, some_pings(10, 100))
            with pytest.raises(DatabaseAway, match="lock timeout"):
                add(database, some_pings(10, 200))
        assert add(database, some_pings(10, 200)) == 10
        assert stored(database) == 30


def test_reading_stores_nothing(database: Database) -> None:
    with suppress(DatabaseAway), database.read() as c:  # PostgreSQL refuses, SQLite undoes
        unit_numbers(c, ["car"], register=True)
    with database.read() as c:
        assert unit_numbers(c, ["car"], register=False) == {}


def test_reading_keeps_one_view(database: Database) -> None:
    add(database, some_pings(10))
    with database.read() as c:
        before = len(read_pings(c, None, 0, 1_000))
        add(database, some_pings(10, 100))
        assert len(read_pings(c, None, 0, 1_000)) == before == 10
    assert stored(database) == 20
