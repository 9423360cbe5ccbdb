"""Duty, places that are no patrol, and rules with their alerts."""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "places",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("geometry", _geometry("MULTIPOLYGON"), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("places_geometry", "places", ["geometry"], postgresql_using="gist")
    op.create_table(
        "dwell_duty",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("unit", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("duty", sa.SmallInteger, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.Float, nullable=False)
            for name in ("stationary_s", "slow_s", "transit_s")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rules",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("district", sa.String(64), sa.ForeignKey("districts.id"), nullable=False),
        sa.Column("cells", sa.JSON, nullable=False),
        sa.Column("begins", sa.String(5), nullable=False),
        sa.Column("ends", sa.String(5), nullable=False),
        sa.Column("idle_s", sa.Float, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("district", sa.String(64), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("from_us", "window_end_us")),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("closed_by", sa.String(16)),
    )
    op.create_index("alerts_rule_from", "alerts", ["rule", "from_us"], unique=True)


def downgrade() -> None:
    for table in ("alerts", "rules", "dwell_duty", "places"):
        op.drop_table(table)


def _geometry(kind: str) -> sa.types.TypeEngine[bytes]:
    """PostGIS geometry on PostgreSQL, its WKB in a blob on SQLite."""
    postgis = Geometry(kind, srid=4326, spatial_index=False)
    return sa.LargeBinary().with_variant(postgis, "postgresql")
