"""Records of a portal's page as rows, as if they had stood in a file."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from app.feeds.body import Fault
from app.files import Rows
from app.profile import FIELDS, Layout, Profile, layout_of

_SURROGATE = re.compile("[\ud800-\udfff]")


class Record(NamedTuple):
    """One row of a page.

    `values`: its columns, numbers as texts. `id`: the portal's own. `changed`: when it last
    changed, as written; `block`: the same, as coarse as the portal can be asked. `point`: latitude
    and longitude [deg] where the record has a geometry, NaN for an empty one.
    """

    values: dict[str, Any]
    id: str
    changed: str | None
    block: Any
    point: tuple[float, float] | None


def parsed(body: bytes) -> Any:
    """JSON with its numbers as the texts that they were. Raises Fault where it is none."""
    try:
        return json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise Fault("it answered with no JSON, or with only a part of it") from error


def rows_of(records: Sequence[Record], profile: Profile, start: int) -> tuple[Rows, Layout]:
    """The records as rows that are counted from `start` on, and how the profile reads them.

    Portals leave out members that are null, so that every column that the profile names counts
    as there. Raises BadInput for one that it does not name.
    """
    placed = any(record.point is not None for record in records)
    found = dict.fromkeys(name for record in records for name in record.values)
    found |= dict.fromkeys(_expected(profile))
    if placed:
        found = {k: v for k, v in found.items() if k not in ("lat", "lon")} | _own(records)
    layout = layout_of(profile, "incidents", found, placed)
    points = [record.point or (np.nan, np.nan) for record in records]
    rows = Rows(
        columns={
            name: pa.array([_text(record.values.get(name)) for record in records], pa.string())
            for name in layout.needed
        },
        index=np.arange(start, start + len(records)),
        quoted=False,  # portals write numbers as texts, and say so nowhere
        lat=np.array([lat for lat, _ in points]) if placed else None,
        lon=np.array([lon for _, lon in points]) if placed else None,
    )
    return rows, layout


def degrees(value: Any) -> float:
    """A coordinate, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _expected(profile: Profile) -> list[str]:
    """The columns that the profile reads."""
    names = [profile.columns.get(name, name) for name in FIELDS["incidents"]]
    parts = profile.parts.columns() if profile.parts else ()
    if profile.parts and "occurred_from" not in profile.columns:
        names.remove("occurred_from")
    also = profile.derived_id.also if profile.derived_id else ()
    if profile.derived_id and "incident_id" not in profile.columns:
        names.remove("incident_id")
    return [*names, *parts, *also]


def _own(records: Sequence[Record]) -> dict[str, None]:
    """The columns `lat` and `lon` that records have beside their geometry."""
    return dict.fromkeys(n for n in ("lat", "lon") if any(n in record.values for record in records))


def _text(value: Any) -> str | None:
    """A value as a CSV file would hold it; half a surrogate pair becomes NUL, which is refused."""
    if value is None or isinstance(value, str):
        return value if not value else _SURROGATE.sub("\0", value)
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)
