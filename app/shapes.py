"""Wire models of dosage, places, rules and alerts."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.geo.grid import from_text, resolutions, to_text
from app.schemas import Area, Name, printable
from app.shifts import calendar_of


class PlaceProperties(BaseModel):
    """What a place is beside its area."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
    kind: Literal["station", "garage", "court", "hospital", "other"] = "other"


class PlaceFeature(BaseModel):
    """A place that is no patrol, as a GeoJSON Feature."""

    type: Literal["Feature"]
    id: str | None = Field(None, description="Where given, that of the address.")
    geometry: Area
    properties: PlaceProperties


class ZoneDosage(BaseModel):
    """What a zone has received; seconds are null where nothing can be said."""

    id: str
    status: Literal["none", "part", "met", "over", "unknown"]
    target_s: float
    delivered_s: float | None
    remaining_s: float | None
    visits: int
    last_visit: str | None


class PlanDosage(BaseModel):
    """What a plan's zones have received since their shift began."""

    plan: str
    as_of: str
    zones: list[ZoneDosage]


class Visit(BaseModel):
    """A stay of a unit in a zone."""

    zone: str
    unit_id: str
    start: str
    end: str
    inside_s: float
    length_min: Literal["<1", "1-5", "5-10", "10-16", "16-20", ">20"]
    koper: bool | None = Field(description="Whether it was of the length that lasts longest.")
    refused: str | None = Field(description="Why that cannot be said.")


class DosageCell(BaseModel):
    """One cell: seconds of all units, the bounds around them, and seconds with any unit."""

    cell: str
    unit_s: float
    low_s: float | None
    high_s: float | None
    presence_s: float | None


class DosageLayer(BaseModel):
    """The dosage of a district's cells in an interval."""

    model_config = ConfigDict(populate_by_name=True)

    district: str
    from_: str = Field(alias="from")
    to: str
    resolution: int
    duty: str
    state: str
    as_of: str
    last_ping: str | None
    basis: Literal["dwell", "pings"]
    observed_s: float
    unobserved_s: float
    notes: list[str]
    cells: list[DosageCell]


def _clock(text: str) -> str:
    calendar_of({"a": text})
    return f"{text:0>5}"


def _one_resolution(cells: list[str]) -> list[str]:
    found = from_text(cells)
    if len(set(resolutions(found).tolist())) > 1:
        raise ValueError("must be of one resolution")
    return to_text(np.unique(found))


Clock = Annotated[
    str,
    Field(description="Local time, HH:MM.", examples=["22:00"], max_length=5),
    AfterValidator(_clock),
]


class RuleBody(BaseModel):
    """No unit in the cells for `idle_s`, between two local times, raises an alert."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
    district: Name = Field(description="Whose time zone counts.")
    cells: Annotated[
        list[Annotated[str, Field(max_length=16)]],
        Field(min_length=1, max_length=500, description="H3 cells of one resolution."),
        AfterValidator(_one_resolution),
    ]
    begins: Clock
    ends: Clock
    idle_s: Annotated[
        float, Field(strict=True, ge=60, le=86_400, allow_inf_nan=False, examples=[3600.0])
    ]

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("begins and ends are the same time of day")
        return self


class Rule(RuleBody):
    """A rule as it is kept."""

    id: str


class Alert(BaseModel):
    """A breach of a rule; `until` is null while it is open."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    rule: str
    district: str
    from_: str = Field(alias="from")
    until: str | None
    closed_by: Literal["entry", "window", "rule"] | None
