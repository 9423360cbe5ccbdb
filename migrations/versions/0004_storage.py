"""Pings by day on PostgreSQL, marks that say who has read, keys limited to units, live units."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DAY_US = 86_400_000_000
# Days of their own begin here before the day of the migration, or after the newest ping there is.
DAYS_BACK = 366
NEW_UNIT = (("still", sa.Boolean), ("idle_interval_s", sa.Integer), ("clock_offset_s", sa.Float))


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("before_us", sa.BigInteger, nullable=False),
    )
    for name, kind in NEW_UNIT:
        op.add_column("units", sa.Column(name, kind))
    op.add_column("api_keys", sa.Column("units", sa.JSON))
    op.execute("UPDATE dirty_hours SET mark = 0")
    if op.get_bind().dialect.name == "postgresql":
        _into_partitions()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _into_one_table()
    op.drop_column("api_keys", "units")
    for name, _ in NEW_UNIT:
        op.drop_column("units", name)
    op.drop_table("retention")


def _into_partitions() -> None:
    """The table as it is becomes the partition of all earlier days; no row is copied."""
    op.execute("ALTER TABLE pings RENAME TO pings_past")
    op.execute("ALTER INDEX pings_pkey RENAME TO pings_past_pkey")
    op.execute(
        "CREATE TABLE pings (LIKE pings_past INCLUDING DEFAULTS) PARTITION BY RANGE (time_us)"
    )
    op.execute("ALTER TABLE pings ADD PRIMARY KEY (time_us, unit)")
    first_us = op.get_bind().scalar(
        sa.text(
            "SELECT GREATEST("
            "  (floor(extract(epoch FROM now()) / 86400)::bigint - :back) * :day,"
            "  (SELECT (floor(max(time_us)::numeric / :day)::bigint + 1) * :day FROM pings_past))"
        ),
        {"back": DAYS_BACK, "day": DAY_US},
    )
    op.execute(
        f"ALTER TABLE pings ATTACH PARTITION pings_past FOR VALUES FROM (MINVALUE) TO ({first_us})"
    )


def _into_one_table() -> None:
    op.execute("CREATE TABLE pings_all (LIKE pings INCLUDING DEFAULTS)")
    op.execute("INSERT INTO pings_all SELECT * FROM pings")
    op.execute("DROP TABLE pings")
    op.execute("ALTER TABLE pings_all RENAME TO pings")
    op.execute("ALTER TABLE pings ADD PRIMARY KEY (time_us, unit)")
