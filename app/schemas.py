"""Wire models at the HTTP border: what a request may hold, and what an answer holds."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from app.moments import DAY, YEARS, day_of, moment_us, text_of
from app.shifts import calendar_of, zone

MAX_NAME = 64


def is_name(text: str) -> bool:
    """Whether a text can be an id: 1 to 64 printable characters, no blank at its ends."""
    return 0 < len(text) <= MAX_NAME and text == text.strip() and text.isprintable()


def printable(text: str) -> str:
    """The text, if it can be read. Raises ValueError."""
    if text != text.strip() or not text.isprintable():
        raise ValueError("must be printable, without blanks at its ends")
    return text


def _timezone(text: str) -> str:
    zone(text)
    return text


def _calendar(shifts: dict[str, str]) -> dict[str, str]:
    calendar_of(shifts)
    return shifts


def _as_day(value: object) -> date:
    if not isinstance(value, str):
        raise ValueError("write a day as YYYY-MM-DD")
    return day_of(value)


def _as_moment(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return moment_us(repr(value))
    if not isinstance(value, str) or value[:5].isdecimal():
        raise ValueError("write an RFC 3339 time with an offset, or Unix seconds as a number")
    return moment_us(value)


def _day_or_moment(text: str) -> date | int:
    if DAY.fullmatch(text):
        return day_of(text)
    time_us = moment_us(text)
    day_of(text_of(time_us)[:10])  # far years have no calendar
    return time_us


_LEFT_OUT: Any = None  # a default that a request cannot send


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(printable)]
Day = Annotated[
    date,
    BeforeValidator(_as_day),
    Field(description=f"YYYY-MM-DD, from {YEARS.start} to {YEARS.stop - 1}."),
]
Moment = Annotated[
    int,
    BeforeValidator(_as_moment),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339 with an offset, or Unix seconds.",
        }
    ),
]
When = Annotated[
    int,
    BeforeValidator(moment_us),
    WithJsonSchema({"type": "string", "description": "RFC 3339 with an offset, or Unix seconds."}),
]
DayOrMoment = Annotated[
    date | int,
    PlainValidator(_day_or_moment),
    WithJsonSchema(
        {
            "type": "string",
            "description": "A local day (YYYY-MM-DD), or an instant: RFC 3339 with an offset, "
            "or Unix seconds.",
        }
    ),
]
Hours = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]


class Problem(BaseModel):
    """What went wrong (RFC 9457). Some problems have members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class ItemError(BaseModel):
    """Why one item of a batch was rejected."""

    index: int = Field(description="Counts items from 0.")
    code: str
    field: str | None
    message: str


class Receipt(BaseModel):
    """What became of a batch; accepted, duplicate and rejected sum to received."""

    received: int
    accepted: int
    duplicate: int
    rejected: int
    errors: list[ItemError] = Field(description="At most 100, one per item, in order.")
    errors_truncated: bool


class DistrictProperties(BaseModel):
    """What a district is beside its area."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
    timezone: Annotated[
        str, Field(max_length=MAX_NAME, examples=["America/Regina"]), AfterValidator(_timezone)
    ]
    shifts: Annotated[
        dict[Name, str],
        AfterValidator(_calendar),
        Field(
            description="Name and local start of each shift; it ends where the next one starts.",
            examples=[{"day": "07:00", "evening": "15:00", "night": "23:00"}],
            json_schema_extra={"minProperties": 1},
        ),
    ]
    parent: Name | None = Field(None, description="The district that this one is a part of.")
    unit_hours: Hours | None = Field(None, description="Default capacity of a plan.")


class Area(BaseModel):
    """A GeoJSON Polygon or MultiPolygon, WGS 84, longitude first."""

    type: Literal["Polygon", "MultiPolygon"]
    coordinates: list[Any]


class DistrictFeature(BaseModel):
    """A district as a GeoJSON Feature."""

    type: Literal["Feature"]
    id: str | None = Field(None, description="Where given, that of the address.")
    geometry: Area
    properties: DistrictProperties


class Feature(BaseModel):
    """A GeoJSON Feature (RFC 7946)."""

    model_config = ConfigDict(extra="allow")

    type: Literal["Feature"]
    geometry: dict[str, Any] | None
    properties: dict[str, Any]


class FeatureCollection(BaseModel):
    """A GeoJSON FeatureCollection (RFC 7946)."""

    model_config = ConfigDict(extra="allow")

    type: Literal["FeatureCollection"]
    features: list[Feature]


class ShiftInterval(BaseModel):
    """One shift, `[start, end)`."""

    district: str
    name: str
    start: str
    end: str


class UnitState(BaseModel):
    """A unit's last position. Of a stale unit the status is unknown."""

    unit_id: str
    time: str | None
    age_s: float | None
    stale: bool
    status: str
    lat: float | None
    lon: float | None
    speed_mps: float | None
    heading_deg: float | None
    idle_interval_s: int | None
    clock_offset_s: float | None


class UnitSettings(BaseModel):
    """What an administrator declares of a unit."""

    model_config = ConfigDict(extra="forbid")

    idle_interval_s: Annotated[int, Field(strict=True, gt=0, le=86_400)] | None = Field(
        None, description="Seconds between two reports of the unit's box while it is parked."
    )


class PlanRequest(BaseModel):
    """Which shift to plan, and with how much."""

    model_config = ConfigDict(extra="forbid")

    district: Name
    shift: Name
    date: Day
    # Left out, the district's default serves; null is refused, since it might mean none or any.
    unit_hours: Hours = Field(_LEFT_OUT, json_schema_extra=_without_default)
    as_of: Moment = Field(_LEFT_OUT, json_schema_extra=_without_default)


class PlanShift(BaseModel):
    """The planned shift, `[start, end)`."""

    name: str
    start: str
    end: str


class Zone(BaseModel):
    """A connected set of cells suggested for focus patrol; figures are sums over its cells."""

    id: str
    rank: int
    cells: list[str]
    area_km2: float
    expected_incidents: float
    expected_harm: float
    priority: float
    visits: int
    target_dosage_s: float
    reasons: list[str]


class Dropped(BaseModel):
    """A zone that fewer unit-hours cost."""

    id: str
    priority: float
    reason: str


class Plan(BaseModel):
    """The zones of one district and shift, with all that they depend on."""

    id: str
    district: str
    shift: PlanShift
    status: str
    data_until: str
    unit_hours: float
    travel_s: float
    zones: list[Zone]
    dropped: list[Dropped]
    objective: float
    bound: float
    gap: float
    notes: list[str]
    parameters: dict[str, Any]
    version: int


class Cell(BaseModel):
    """One cell of a plan."""

    cell: str
    expected_incidents: float
    expected_harm: float
    dosage_s: float
    residual_s: float
    priority: float
