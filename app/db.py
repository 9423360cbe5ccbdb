"""The engine, and the one place that commits: `with database.write() as c: …`."""

import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import DatabaseAway
from app.settings import Settings

CONNECTIONS = 8
RESTED_S = 1.0
CACHE_KIB = 32 * 1024  # of each connection to SQLite
PAGE_BYTES = 8192  # of a new SQLite file: loads a fifth faster than 4096, and commits no slower

AWAY: tuple[type[Exception], ...] = (
    sqlite3.OperationalError,  # locked, read-only, full, no such file or table
    psycopg.OperationalError,  # no server, shutting down, full, a lock that took too long
    psycopg.InterfaceError,  # the connection is closed
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
)


class Database:
    """One database. Failures to reach, lock or fill it are `DatabaseAway`, and store nothing."""

    def __init__(self, settings: Settings) -> None:
        """Connects lazily: an absent database is met by the first query, not here."""
        self.engine = engine_of(settings)
        self._wait_s = settings.busy_timeout_s
        self._turn = threading.Lock()
        self.derivation = threading.Lock()  # held by the thread that derives, see app.coverage

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite: one writer at a time, and one process that serves."""
        return self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection with one consistent view, rolled back at the end."""
        with _as_away(), self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection whose work is flushed to disk when the block ends, or undone if it fails."""
        if self.is_sqlite:
            with _as_away(), self._alone() as connection:
                yield connection
        else:
            with _as_away(), self.engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def each(self) -> Iterator[Connection]:
        """A connection on which each statement is flushed to disk by itself."""
        with _as_away(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Returns every connection."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """SQLite has one writer at a time.

        Threads of this process queue for a lock, which wakes the next at once; SQLite's own lock,
        which other processes may hold, is polled for what then remains of the patience.
        """
        patient_until = time.monotonic() + self._wait_s
        if not self._turn.acquire(timeout=self._wait_s):
            raise DatabaseAway("the database is busy with another write; try again")
        try:
            with self.engine.begin() as connection:
                left_ms = max(0, int((patient_until - time.monotonic()) * 1000))
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {left_ms}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(self._wait_s * 1000)}")
                yield connection
        finally:
            self._turn.release()


def engine_of(settings: Settings) -> Engine:
    """An engine for the database of the settings, with the pragmas and time limits it needs."""
    url = make_url(settings.database_url)
    wait_s = settings.busy_timeout_s
    # To wait for a connection and then for the server stays below the 10 s of the contract.
    pool = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": wait_s / 2}
    if url.get_backend_name() == "sqlite":
        in_memory = url.database in (None, "", ":memory:")
        engine = create_engine(
            url, connect_args={"timeout": wait_s / 2}, **({} if in_memory else pool)
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    connect_args = {
        "connect_timeout": max(2, int(wait_s)),
        "tcp_user_timeout": int(wait_s * 1000),  # a network that swallows packets
        "options": f"-c timezone=UTC -c lock_timeout={int(wait_s * 1000)}",
    }
    engine = create_engine(url, connect_args=connect_args, **pool)
    event.listen(engine, "checkin", _remember_use)
    event.listen(engine, "checkout", _look_after_rest)
    return engine


def _remember_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _look_after_rest(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Replaces a connection that broke while it rested; one in steady use is not asked."""
    if time.monotonic() - record.info.get("used", math.inf) > RESTED_S:
        try:
            connection.execute(";")
            connection.rollback()
        except psycopg.Error as error:
            raise DisconnectionError from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Transactions are opened by `write`; the driver must not open its own.
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # heeded only by a new file
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # acknowledged survives loss of power
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")


@contextlib.contextmanager
def _as_away() -> Iterator[None]:
    """Says DatabaseAway for what the state of the database causes, not for what the query is."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseAway("the database is busy; try again") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_away(error.orig):
            raise DatabaseAway(_reason(error.orig)) from error
        raise
    except (sqlite3.Error, psycopg.Error) as error:  # of the driver, past SQLAlchemy
        if _is_away(error):
            raise DatabaseAway(_reason(error)) from error
        raise


def _is_away(error: BaseException | None) -> bool:
    # SQLite says DatabaseError itself, not one of its kinds, for a file that is not a database.
    return isinstance(error, AWAY) or type(error) is sqlite3.DatabaseError


def _reason(error: BaseException | None) -> str:
    text = str(error).strip().splitlines()
    reason = text[0] if text else type(error).__name__
    absent = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn)
    if absent or reason.startswith(("no such table", "no such column")):
        return f"the database has not the newest schema ({reason}); run focus-patrol migrate"
    return f"the database cannot be used: {reason}"
