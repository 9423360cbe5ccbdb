"""Brings a database to the newest schema, all steps in one transaction or none."""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import app
from app import features
from app.db import Database
from app.settings import Settings

FOLDER = Path(app.__file__).parent.parent / "migrations"
LOCK = 0x466F_6375_7350_6174  # any number that nobody else locks: "FocusPat"


def migrate(settings: Settings) -> None:
    """Migrates to the newest schema; changes nothing where it is there. Raises DatabaseAway."""
    database = Database(settings)
    try:
        with database.write() as connection:
            migrate_connection(connection)
            features.add_missing(connection)  # of plans that an older version made
    finally:
        database.close()


def migrate_connection(connection: Connection) -> None:
    """As `migrate`, in the transaction of a connection."""
    if connection.dialect.name == "postgresql":  # on SQLite the transaction locks by itself
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_newest(connection: Connection) -> bool:
    """Whether the schema is the newest; false for a database that was never migrated."""
    return MigrationContext.configure(connection).get_current_revision() == _newest()


@lru_cache
def _newest() -> str | None:
    return ScriptDirectory(str(FOLDER)).get_current_head()
