"""Deployment values: the only reader of the environment, all prefixed `FOCUS_PATROL_`.

What changes a plan (model values) is not here but in the frozen parameter classes of `app.geo`,
stored with each plan.
"""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
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
    live_every_s: float = Field(
        2.0,
        ge=0,
        le=5,
        description="Pause between looks at rules of inactivity, and for those who listen to "
        "events; 0 looks only when somebody begins to listen.",
    )
    feeds: str = Field("feeds", description="The folder in which feeds are looked for by name.")
    feed_tokens: dict[str, SecretStr] = Field(
        {},
        description="Tokens that feeds name, as a JSON object of name and token; they stand in no "
        "feed file and in no log.",
    )
    retain_every_s: float = Field(
        3600.0,
        ge=0,
        description="Pause between deletions of pings by age inside `serve`; 0 leaves them to "
        "`focus-patrol retain`.",
    )
    open_metrics: bool = Field(False, description="Whether /metrics answers without a key.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("database_url")
    @classmethod
    def _a_database_that_is_known(cls, url: str) -> str:
        kind = url.partition(":")[0]  # never the whole: it may hold a password
        if kind not in ("sqlite", "postgresql+psycopg") or "://" not in url:
            raise ValueError(
                f"{kind!r} is no database known here; write sqlite:///FILE or"
                " postgresql+psycopg://USER@HOST/DATABASE"
            )
        return url

    @model_validator(mode="after")
    def _plans_no_finer_than_stored(self) -> Self:
        if self.plan_resolution > self.resolution:
            raise ValueError(
                f"FOCUS_PATROL_PLAN_RESOLUTION {self.plan_resolution} is finer than"
                f" FOCUS_PATROL_RESOLUTION {self.resolution}"
            )
        return self
