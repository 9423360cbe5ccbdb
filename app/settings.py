"""Deployment values: the only reader of the environment, all prefixed `FOCUS_PATROL_`.

What changes a plan (model values) is not here but in the frozen parameter classes of `app.geo`,
stored with each plan.
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field: its unit in the name, a default that works, and why it is there."""

    model_config = SettingsConfigDict(env_prefix="FOCUS_PATROL_", extra="ignore", frozen=True)

    database_url: str = Field(
        "sqlite:///focus-patrol.db",
        description="Where facts live. SQLite needs nothing installed; production is "
        "postgresql+psycopg://user@host/database with PostGIS.",
    )
    retention_days: int = Field(
        30,
        ge=0,
        description="Raw pings older than this are refused and in time deleted; derived dwell "
        "stays. 0 keeps all and accepts any age.",
    )
    resolution: int = Field(
        10, ge=5, le=12, description="The finest H3 resolution stored; plans use it or coarser."
    )
    plan_resolution: int = Field(
        9,
        ge=5,
        le=12,
        description="The H3 resolution that plans are made at; at most `resolution`.",
    )
    severity_table: str = Field(
        "canada_2009",
        description="What incidents weigh: the name of a table that ships, or a TOML file.",
    )
    unit_hours: float = Field(
        6.0,
        ge=0,
        description="Unit-hours of a plan whose request and district name none: two cars with "
        "three unallocated hours each.",
    )
    register_units: bool = Field(
        True,
        description="Whether an unknown unit registers itself with its first ping; otherwise it "
        "is refused as unknown_unit.",
    )
    stale_s: int = Field(
        900, gt=0, description="A unit silent for longer is stale: its state is unknown, not idle."
    )
    busy_timeout_s: float = Field(
        5.0, gt=0, le=9, description="How long to wait for a locked or absent database before 503."
    )
    derive_every_s: float = Field(
        2.0,
        ge=0,
        description="Pause between derivations of dwell inside `serve`; 0 derives only "
        "when a plan asks.",
    )
    open_metrics: bool = Field(False, description="Whether /metrics answers without a key.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
