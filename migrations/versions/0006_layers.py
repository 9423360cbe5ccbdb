"""What layers are served from: text of plans' features, outlines of cells, lasting order."""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _number("plans", "created_us, id")
    _number("districts", "id")
    op.create_table(
        "cells",
        sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("west", "south", "east", "north")),
        sa.Column("geometry", _geometry("MULTIPOLYGON"), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("cells_geometry", "cells", ["geometry"], postgresql_using="gist")
    op.create_table(
        "plan_layers",
        sa.Column("plan", sa.String(36), sa.ForeignKey("plans.id"), primary_key=True),
        sa.Column("layer", sa.String(16), primary_key=True),
        sa.Column("features", sa.Integer, nullable=False),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("keys", "ends", "text")),
    )


def downgrade() -> None:
    op.drop_table("plan_layers")
    op.drop_table("cells")
    for table in ("districts", "plans"):
        op.drop_index(f"{table}_number", table)
        op.drop_column(table, "number")


def _number(table: str, order: str) -> None:
    """Numbers the rows that are there in the order they came, and has the next follow on."""
    op.add_column(table, sa.Column("number", sa.BigInteger))
    ids = op.get_bind().scalars(sa.text(f"SELECT id FROM {table} ORDER BY {order}")).all()  # noqa: S608  fixed
    for number, name in enumerate(ids, 1):
        op.get_bind().execute(
            sa.text(f"UPDATE {table} SET number = :number WHERE id = :id"),  # noqa: S608  fixed
            {"number": number, "id": name},
        )
    op.create_index(f"{table}_number", table, ["number"], unique=True)
    if ids:
        revisions = sa.table("revisions", sa.column("name"), sa.column("revision"))
        op.bulk_insert(revisions, [{"name": table, "revision": len(ids)}])


def _geometry(kind: str) -> sa.types.TypeEngine[bytes]:
    """PostGIS geometry on PostgreSQL, its WKB in a blob on SQLite."""
    postgis = Geometry(kind, srid=4326, spatial_index=False)
    return sa.LargeBinary().with_variant(postgis, "postgresql")
