"""The five collections: what they are, and the properties of their features."""

from dataclasses import dataclass
from typing import Any

from app.geo.fixes import STATUS
from app.geo.risk import SOURCES

TEXT, NUMBER, INTEGER, BOOLEAN, TIME = "text", "number", "integer", "boolean", "time"
_SCHEMAS: dict[str, dict[str, Any]] = {
    TEXT: {"type": "string"},
    NUMBER: {"type": "number"},
    INTEGER: {"type": "integer"},
    BOOLEAN: {"type": "boolean"},
    TIME: {"type": "string", "format": "date-time"},
}


@dataclass(frozen=True)
class Property:
    """A property of every feature of a collection; `words`: the only texts that it has."""

    name: str
    kind: str
    title: str
    unit: str | None = None
    words: tuple[str, ...] = ()
    nullable: bool = False
    queryable: bool = True

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        found = {"title": self.title, **_SCHEMAS[self.kind]}
        if self.words:
            found["enum"] = list(self.words)
        if self.unit:
            found["x-ogc-unit"] = self.unit
        return found


@dataclass(frozen=True)
class Collection:
    """A layer: its features are `geometry` (`point` or `multipolygon`) with these properties."""

    id: str
    title: str
    description: str
    geometry: str
    properties: tuple[Property, ...]
    planned: bool = False  # made with a plan, and never altered
    id_property: str | None = None  # that is the feature's id too

    def property(self, name: str) -> Property | None:
        """The property of that name."""
        return next((each for each in self.properties if each.name == name), None)


_PLAN = (
    Property("plan", TEXT, "Id of the plan"),
    Property("district", TEXT, "Id of the district"),
    Property("shift", TEXT, "Name of the shift"),
    Property("start", TIME, "Start of the shift"),
    Property("end", TIME, "End of the shift, not part of it"),
    Property("data_until", TIME, "Nothing that happened at or after it was used"),
)
_EXPECTED = (
    Property("expected_incidents", NUMBER, "Incidents to be expected in the shift"),
    Property("expected_harm", NUMBER, "Harm to be expected in the shift"),
)
_PRIORITY = Property("priority", NUMBER, "Harm that patrol has not already met")

ZONES = Collection(
    "zones",
    "Focus-patrol zones",
    "The zones of every plan; `datetime` or a filter on `plan` chooses among plans.",
    "multipolygon",
    (
        *_PLAN,
        Property("zone", TEXT, "Id of the zone within its plan"),
        Property("rank", INTEGER, "Rank by priority, 1 is the most urgent"),
        Property("area_km2", NUMBER, "Area", "km2"),
        *_EXPECTED,
        _PRIORITY,
        Property("visits", INTEGER, "Visits that the plan gives it"),
        Property("target_dosage_s", NUMBER, "Seconds of all its visits", "s"),
        Property("cells", TEXT, "Its H3 cells, with blanks between them", queryable=False),
        Property("reasons", TEXT, "Why it was chosen", queryable=False),
    ),
    planned=True,
)
CELLS = Collection(
    "cells",
    "Cells",
    "Every cell of the district, with its figures, of every plan.",
    "polygon",
    (
        *_PLAN,
        Property("cell", TEXT, "H3 cell"),
        *_EXPECTED,
        Property("dosage_s", NUMBER, "Seconds of patrol in the dosage window", "s"),
        Property("residual_s", NUMBER, "What is left of all patrol after fading", "s"),
        _PRIORITY,
    ),
    planned=True,
)
INCIDENTS = Collection(
    "incidents",
    "Incidents",
    "Recorded offences, collisions and calls for service.",
    "point",
    (
        Property("incident_id", TEXT, "The source's own id"),
        Property("occurred_from", TIME, "When it happened, or the earliest it can have"),
        Property("occurred_to", TIME, "The latest it can have happened"),
        Property("reported_at", TIME, "When it became known", nullable=True),
        Property("category", TEXT, "What it was reported as"),
        Property("final_category", TEXT, "What it turned out to be", nullable=True),
        Property("source", TEXT, "Who made it known", words=tuple(SOURCES)),
        Property("municipality", TEXT, "Where it was recorded", nullable=True),
    ),
    id_property="incident_id",
)
UNITS = Collection(
    "units",
    "Units",
    "Patrol cars where they were last heard; of a stale one the status is unknown.",
    "point",
    (
        Property("unit_id", TEXT, "Call sign"),
        Property("time", TIME, "When it was last heard", nullable=True),
        Property("stale", BOOLEAN, "Whether it was silent for too long"),
        Property("status", TEXT, "What it does", words=tuple(STATUS)),
        Property("speed_mps", NUMBER, "Speed", "m/s", nullable=True),
        Property("heading_deg", NUMBER, "Heading, clockwise from north", "deg", nullable=True),
    ),
    id_property="unit_id",
)
DISTRICTS = Collection(
    "districts",
    "Districts",
    "Areas of responsibility.",
    "multipolygon",
    (
        Property("district", TEXT, "Id of the district"),
        Property("name", TEXT, "Name"),
        Property("timezone", TEXT, "Time zone"),
        Property("shifts", TEXT, "Its shifts with their local starts", queryable=False),
        Property("parent", TEXT, "Id of the district around it", nullable=True),
        Property("unit_hours", NUMBER, "Default capacity of a plan", "h", nullable=True),
    ),
    id_property="district",
)
COLLECTIONS = {each.id: each for each in (ZONES, CELLS, INCIDENTS, UNITS, DISTRICTS)}
