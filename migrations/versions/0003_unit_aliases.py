"""What units are called by the systems that send their positions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unit_aliases",
        sa.Column("source", sa.String(32), primary_key=True),
        sa.Column("identifier", sa.String(128), primary_key=True),
        sa.Column("unit", sa.Integer, sa.ForeignKey("units.unit"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("unit_aliases")
