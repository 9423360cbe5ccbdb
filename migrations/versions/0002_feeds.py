"""How far each pulled source of incidents has been read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feeds",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Text) for name in ("cursor", "etag")),
        sa.Column("last_pull_us", sa.BigInteger),
        sa.Column("last_error", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("feeds")
