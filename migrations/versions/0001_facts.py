"""Facts, what is derived from them, plans and keys."""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    _facts()
    _derived()
    _plans()
    op.create_table(
        "api_keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("revoked_us", sa.BigInteger),
    )


def downgrade() -> None:
    for table in (
        *("api_keys", "plan_cells", "plan_zones", "plans", "coverage", "dwell", "dirty_hours"),
        *("revisions", "categories", "incidents", "pings", "units", "districts"),
    ):
        op.drop_table(table)


def _facts() -> None:
    op.create_table(
        "districts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("shifts", sa.JSON, nullable=False),
        sa.Column("parent", sa.String(64), sa.ForeignKey("districts.id")),
        sa.Column("unit_hours", sa.Float),
        sa.Column("geometry", _geometry("MULTIPOLYGON"), nullable=False),
    )
    _spatial_index("districts")
    op.create_table(
        "units",
        sa.Column("unit", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("unit_id", sa.String(64), nullable=False, unique=True),
        sa.Column("last_us", sa.BigInteger),
        *(sa.Column(name, sa.Float) for name in ("lat", "lon", "speed_mps", "heading_deg")),
        sa.Column("status", sa.SmallInteger),
        sa.Column("geometry", _geometry("POINT")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "pings",
        sa.Column("time_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("unit", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("lat", "lon")),
        *(sa.Column(name, sa.Float) for name in ("speed_mps", "heading_deg", "accuracy_m")),
        sa.Column("status", sa.SmallInteger),
        sqlite_with_rowid=False,
    )
    _incidents()


def _incidents() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "incidents",
        sa.Column("incident", number, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.String(128), nullable=False, unique=True),
        sa.Column("occurred_from_us", sa.BigInteger, nullable=False),
        sa.Column("occurred_to_us", sa.BigInteger),
        sa.Column("reported_at_us", sa.BigInteger),
        sa.Column("lat", sa.Float, nullable=False),
        sa.Column("lon", sa.Float, nullable=False),
        sa.Column("cell", sa.BigInteger, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("final_category", sa.Text),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("municipality", sa.Text),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("geometry", _geometry("POINT"), nullable=False),
    )
    op.create_index("incidents_time", "incidents", ["occurred_from_us"])
    op.create_index("incidents_revision", "incidents", ["revision"])
    _spatial_index("incidents")
    op.create_table(
        "categories",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("code", sa.Integer, nullable=False, unique=True, autoincrement=False),
    )
    revisions = op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revisions, [{"name": "incidents", "revision": 0}])


def _derived() -> None:
    op.create_table(
        "dirty_hours",
        *_hour_and_unit(),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "50"},
    )
    seconds = ("dwell_s", "stationary_s", "slow_s", "transit_s", "dwell_low_s", "dwell_high_s")
    op.create_table(
        "dwell",
        *_hour_and_unit(),
        sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in seconds),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "coverage",
        *_hour_and_unit(),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("observed_s", "unobserved_s")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("pings", "kept")),
        sqlite_with_rowid=False,
    )


def _plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("district", sa.String(64), sa.ForeignKey("districts.id"), nullable=False),
        sa.Column("shift", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("start_us", "end_us")),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("data_until_us", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("unit_hours", "travel_s")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("objective", "bound", "gap")),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("dropped", "notes", "parameters")),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("plans_district_start", "plans", ["district", "start_us"])
    expected = ("expected_incidents", "expected_harm")
    op.create_table(
        "plan_zones",
        sa.Column("plan", sa.String(36), sa.ForeignKey("plans.id"), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("cells", sa.JSON, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("area_km2", *expected)),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("visits", sa.Integer, nullable=False),
        sa.Column("target_dosage_s", sa.Float, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("geometry", _geometry("MULTIPOLYGON"), nullable=False),
    )
    _spatial_index("plan_zones")
    figures = (*expected, "dosage_s", "residual_s", "priority")
    op.create_table(
        "plan_cells",
        sa.Column("plan", sa.String(36), sa.ForeignKey("plans.id"), primary_key=True),
        sa.Column("cell", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Float, nullable=False) for name in figures),
        sqlite_with_rowid=False,
    )


def _hour_and_unit() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("unit", sa.Integer, primary_key=True, autoincrement=False),
    )


def _geometry(kind: str) -> sa.types.TypeEngine[bytes]:
    """PostGIS geometry on PostgreSQL, its WKB in a blob on SQLite."""
    postgis = Geometry(kind, srid=4326, spatial_index=False)
    return sa.LargeBinary().with_variant(postgis, "postgresql")


def _spatial_index(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(f"{table}_geometry", table, ["geometry"], postgresql_using="gist")
