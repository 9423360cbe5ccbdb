"""Tables, the same on SQLite and on PostgreSQL with PostGIS.

Instants are whole microseconds since 1970 in UTC (`_us`), cells are H3 indexes as signed 64-bit
integers. Geometry is PostGIS geometry with a GiST index on PostgreSQL, and the same WKB in a plain
blob on SQLite, so that no system library is needed there.
"""

from typing import Any

import shapely
from geoalchemy2 import Geometry, WKBElement
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import JSON, TypeEngine


class Geo(TypeDecorator[shapely.Geometry]):
    """A shapely geometry in WGS 84 (x = lon, y = lat)."""

    impl = Geometry
    cache_ok = True

    def __init__(self, kind: str) -> None:
        """`kind` is the OGC geometry type, as in POINT."""
        self.kind = kind
        super().__init__(kind, srid=4326, spatial_index=False)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Geometry on PostgreSQL and for dialect-free rendering, a blob elsewhere."""
        if dialect.name in ("postgresql", "default"):
            return Geometry(self.kind, srid=4326, spatial_index=False)
        return LargeBinary()

    def process_bind_param(self, value: shapely.Geometry | None, dialect: Dialect) -> Any:
        """The geometry as WKB."""
        if value is None:
            return None
        wkb = shapely.to_wkb(value)
        return WKBElement(wkb, srid=4326) if dialect.name == "postgresql" else wkb

    def process_result_value(self, value: Any, dialect: Dialect) -> shapely.Geometry | None:
        """The geometry back from WKB."""
        if value is None:
            return None
        return shapely.from_wkb(str(value) if isinstance(value, WKBElement) else value)


metadata = MetaData()

# SQLite numbers rows by itself only where the type is exactly INTEGER; PostgreSQL uses up numbers
# with every attempt, so it needs the wide ones.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _gist(name: str) -> Index:
    """A spatial index on PostgreSQL; SQLite has none."""
    return Index(name, "geometry", postgresql_using="gist").ddl_if(dialect="postgresql")


districts = Table(
    "districts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("shifts", JSON, nullable=False),  # {"day": "07:00", …}: local start times
    Column("parent", String(64), ForeignKey("districts.id")),
    Column("unit_hours", Float),  # default capacity of a plan; null: the setting's
    Column("geometry", Geo("MULTIPOLYGON"), nullable=False),
    _gist("districts_geometry"),
)

units = Table(
    "units",
    metadata,
    Column("unit", Integer, primary_key=True, autoincrement=True),  # the number used inside
    Column("unit_id", String(64), nullable=False, unique=True),  # the call sign
    Column("last_us", BigInteger),  # the newest ping, kept apart so that live reads are small
    Column("lat", Float),
    Column("lon", Float),
    Column("speed_mps", Float),
    Column("heading_deg", Float),
    Column("status", SmallInteger),
    Column("still", Boolean),  # whether it stood when last heard; null where nobody can say
    Column("idle_interval_s", Integer),  # between reports of a parked car; declared, null: none
    Column("clock_offset_s", Float),  # see app.clocks
    # No spatial index: it would be rewritten with every position, and there are few units.
    Column("geometry", Geo("POINT")),
    postgresql_with={"fillfactor": "50"},  # room for the next position on the same page
)

# On PostgreSQL in partitions by day, see app.store.partitions; on SQLite one table.
pings = Table(
    "pings",
    metadata,
    # Keyed by time first: new rows land at the end of the tree, ten times as fast when large.
    Column("time_us", BigInteger, primary_key=True, autoincrement=False),
    Column("unit", Integer, primary_key=True, autoincrement=False),
    Column("lat", Float, nullable=False),
    Column("lon", Float, nullable=False),
    Column("speed_mps", Float),
    Column("heading_deg", Float),
    Column("accuracy_m", Float),
    Column("status", SmallInteger),  # index into app.geo.fixes.STATUS; null where not sent
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (time_us)",
)

retention = Table(  # how far facts were deleted by age; no row where none ever were
    "retention",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("before_us", BigInteger, nullable=False),  # what is older is gone, or is about to be
)

unit_aliases = Table(  # what a unit is called by a system that sends its positions
    "unit_aliases",
    metadata,
    Column("source", String(32), primary_key=True),  # the format, see app.aliases.SOURCES
    Column("identifier", String(128), primary_key=True),  # as the source writes it
    Column("unit", Integer, ForeignKey("units.unit"), nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident", _NUMBER, primary_key=True, autoincrement=True),  # the number used inside
    Column("incident_id", String(128), nullable=False, unique=True),  # the source's own
    Column("occurred_from_us", BigInteger, nullable=False),
    Column("occurred_to_us", BigInteger),
    Column("reported_at_us", BigInteger),
    Column("lat", Float, nullable=False),
    Column("lon", Float, nullable=False),
    Column("cell", BigInteger, nullable=False),  # at the finest resolution stored
    Column("category", Text, nullable=False),
    Column("final_category", Text),
    Column("source", String(16), nullable=False),
    Column("municipality", Text),
    Column("revision", BigInteger, nullable=False),  # that of the last change, see `revisions`
    Column("geometry", Geo("POINT"), nullable=False),
    Index("incidents_time", "occurred_from_us"),
    Index("incidents_revision", "revision"),
    _gist("incidents_geometry"),
)

categories = Table(  # a number for each category that any incident had, so that columns are small
    "categories",
    metadata,
    Column("name", Text, primary_key=True),
    Column("code", Integer, nullable=False, unique=True, autoincrement=False),
)

revisions = Table(  # counts the changes of a kind of fact, in the transaction that makes them
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

dirty_hours = Table(  # hours whose dwell must be derived again
    "dirty_hours",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),  # hours since 1970 UTC
    Column("unit", Integer, primary_key=True, autoincrement=False),
    # 0: nobody has read these facts. Else the random number of who took them up to derive them:
    # new facts set it back to 0, and who derived an older state does not clear it.
    Column("mark", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": "50"},  # room for the next mark on the same page
)

dwell = Table(  # derived: seconds of a unit in a cell in a UTC hour
    "dwell",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("unit", Integer, primary_key=True, autoincrement=False),
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("dwell_s", Float, nullable=False),
    Column("stationary_s", Float, nullable=False),
    Column("slow_s", Float, nullable=False),
    Column("transit_s", Float, nullable=False),
    Column("dwell_low_s", Float, nullable=False),
    Column("dwell_high_s", Float, nullable=False),
    sqlite_with_rowid=False,
)

coverage = Table(  # derived: how much of a unit's hour is known
    "coverage",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("unit", Integer, primary_key=True, autoincrement=False),
    Column("observed_s", Float, nullable=False),
    Column("unobserved_s", Float, nullable=False),
    Column("pings", Integer, nullable=False),
    Column("kept", Integer, nullable=False),
    sqlite_with_rowid=False,
)

dwell_duty = Table(  # derived: the part of dwell whose duty is known; the rest is unknown
    "dwell_duty",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("unit", Integer, primary_key=True, autoincrement=False),
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("duty", SmallInteger, primary_key=True, autoincrement=False),  # app.geo.stays.DUTIES
    Column("stationary_s", Float, nullable=False),
    Column("slow_s", Float, nullable=False),
    Column("transit_s", Float, nullable=False),
    sqlite_with_rowid=False,
)

places = Table(  # where time is no patrol
    "places",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("geometry", Geo("MULTIPOLYGON"), nullable=False),
    _gist("places_geometry"),
)

rules = Table(  # how long cells may be without a unit, and when
    "rules",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("district", String(64), ForeignKey("districts.id"), nullable=False),
    Column("cells", JSON, nullable=False),  # H3 strings of one resolution
    Column("begins", String(5), nullable=False),  # local HH:MM
    Column("ends", String(5), nullable=False),
    Column("idle_s", Float, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("rule", String(64), nullable=False),  # outlives the rule
    Column("district", String(64), nullable=False),
    Column("from_us", BigInteger, nullable=False),
    Column("window_end_us", BigInteger, nullable=False),
    Column("until_us", BigInteger),  # null while it is open
    Column("closed_by", String(16)),
    Index("alerts_rule_from", "rule", "from_us", unique=True),
)

plans = Table(
    "plans",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("district", String(64), ForeignKey("districts.id"), nullable=False),
    Column("shift", Text, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("data_until_us", BigInteger, nullable=False),
    Column("unit_hours", Float, nullable=False),
    Column("travel_s", Float, nullable=False),
    Column("objective", Float, nullable=False),
    Column("bound", Float, nullable=False),
    Column("gap", Float, nullable=False),
    Column("dropped", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Index("plans_district_start", "district", "start_us"),
)

plan_zones = Table(
    "plan_zones",
    metadata,
    Column("plan", String(36), ForeignKey("plans.id"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("cells", JSON, nullable=False),  # H3 strings
    Column("area_km2", Float, nullable=False),
    Column("expected_incidents", Float, nullable=False),
    Column("expected_harm", Float, nullable=False),
    Column("priority", Float, nullable=False),
    Column("visits", Integer, nullable=False),
    Column("target_dosage_s", Float, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("geometry", Geo("MULTIPOLYGON"), nullable=False),
    _gist("plan_zones_geometry"),
)

plan_cells = Table(
    "plan_cells",
    metadata,
    Column("plan", String(36), ForeignKey("plans.id"), primary_key=True),
    Column("cell", BigInteger, primary_key=True),
    Column("expected_incidents", Float, nullable=False),
    Column("expected_harm", Float, nullable=False),
    Column("dosage_s", Float, nullable=False),
    Column("residual_s", Float, nullable=False),
    Column("priority", Float, nullable=False),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),  # the key itself is never stored
    Column("scopes", JSON, nullable=False),
    Column("units", JSON),  # call signs that it may send pings of; null: all
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
)

feeds = Table(  # how far each pulled source of incidents has been read
    "feeds",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("source", String(64), nullable=False),  # SHA-256 of what the cursor is about
    Column("cursor", Text),  # JSON; null: from the beginning
    Column("etag", Text),  # of the last answer that was stored whole
    Column("last_pull_us", BigInteger),  # the last that went through
    Column("last_error", Text),  # null once a pull goes through
)
