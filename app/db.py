"""The engine, and the one place that commits: `with database.write() as c: …`."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import DatabaseAway
from app.settings import Settings


class Database:
    """One database. Failures to reach, lock or fill it are `DatabaseAway`, and store nothing."""

    def __init__(self, settings: Settings) -> None:
        """Connects lazily: an absent database is met by the first query, not here."""
        self.engine = engine_of(settings)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection with one consistent view, rolled back at the end."""
        with _as_away(), self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection whose work is flushed to disk when the block ends, or undone if it fails."""
        with _as_away(), self.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Returns every connection."""
        self.engine.dispose()


def engine_of(settings: Settings) -> Engine:
    """An engine for the database of the settings, with the pragmas and time limits it needs."""
    url = make_url(settings.database_url)
    wait_s = settings.busy_timeout_s
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": wait_s}, pool_timeout=wait_s)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=wait_s,
        pool_size=8,
        connect_args={
            "connect_timeout": max(2, int(wait_s)),
            "options": f"-c timezone=UTC -c lock_timeout={int(wait_s * 1000)}",
        },
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Transactions are opened by `write`; the driver must not open its own.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # acknowledged survives loss of power
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    connection.execute("PRAGMA temp_store = MEMORY")


@contextlib.contextmanager
def _as_away() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseAway("the database is busy; try again") from error
    except OperationalError as error:
        raise DatabaseAway(f"the database cannot be used: {_reason(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseAway(f"the database went away: {_reason(error)}") from error
        raise


def _reason(error: DBAPIError) -> str:
    text = str(error.orig).strip().splitlines()
    return text[0] if text else type(error.orig).__name__
