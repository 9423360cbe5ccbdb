"""The migrations make what app.tables says, on both databases, and may run any number of times."""

from contextlib import closing

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from app.db import Database
from app.migrate import migrate
from app.settings import Settings
from app.tables import metadata


def _is_ours(thing: object, name: str, kind: str, _reflected: bool, _other: object) -> bool:
    if kind == "table":
        return name not in ("alembic_version", "spatial_ref_sys") and not name.startswith("pings_")
    # SQLite has no spatial indexes; that PostgreSQL has them is asserted below.
    return not (kind == "index" and name.endswith("_geometry"))


def test_the_migrated_schema_is_that_of_the_tables(database: Database) -> None:
    options = {"compare_type": True, "include_object": _is_ours}
    with database.read() as c:
        assert compare_metadata(MigrationContext.configure(c, opts=options), metadata) == []


def test_migrating_again_changes_nothing(settings: Settings, database: Database) -> None:
    with database.write() as c:
        c.execute(text("INSERT INTO units (unit_id) VALUES ('A1')"))
    migrate(settings)
    with database.read() as c:
        assert c.execute(text("SELECT unit_id FROM units")).scalars().all() == ["A1"]


def test_geometry_has_a_spatial_index_on_postgis(postgis_settings: Settings) -> None:
    with closing(Database(postgis_settings)) as database, database.read() as c:
        for table in ("districts", "incidents", "plan_zones"):
            query = text("SELECT indexdef FROM pg_indexes WHERE indexname = :name")
            found = c.execute(query, {"name": f"{table}_geometry"}).scalar_one()
            assert "USING gist (geometry)" in found


def test_sqlite_needs_no_extension(sqlite_settings: Settings) -> None:
    with closing(Database(sqlite_settings)) as database, database.read() as c:
        modules = c.execute(text("SELECT name FROM pragma_function_list"))
        assert not any(row.name.startswith("st_") for row in modules)
