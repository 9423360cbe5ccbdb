"""From a body to facts on disk and a receipt: decode, check, store, answer."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from sqlalchemy import Connection

from app.checks import UNKNOWN_UNIT, C, Flaw, Limits, checked
from app.db import Database
from app.facts import IncidentColumns, Ints, PingColumns
from app.geo.dwell import REACH_US
from app.geo.fixes import Pings
from app.geo.grid import cells_at
from app.intake.body import inflated, is_lines
from app.intake.decode import (
    INCIDENTS,
    PINGS,
    decoded,
    incident_columns,
    ping_columns,
)
from app.intake.receipt import MAX_ERRORS, Receipt, Refused
from app.settings import Settings
from app.store.incidents import IncidentRows, add_incidents
from app.store.pings import add_pings
from app.store.units import unit_numbers


@dataclass(frozen=True)
class Batch(Generic[C]):
    """Rows that passed every check, where each stood among those received, and the refused."""

    received: int
    columns: C
    index: Ints
    refused: Refused


def batch_of(
    columns: C,
    limits: Limits,
    index: Ints,
    received: int,
    broken: Sequence[tuple[int, Flaw]] = (),
    found: Ints | None = None,
    flaws: Sequence[Flaw] = (),
) -> Batch[C]:
    """Columns checked: the good rows, and the flaws of the others beside those `broken` before.

    `index` (n,) ascending: where each row stood among the `received`. `found` and `flaws`: what
    is known to be malformed already, as `checked` takes it.
    """
    result = checked(columns, limits, found, flaws)
    good = result.good
    refused = Refused().plus(broken, len(broken))
    if good.all():
        return Batch(received, columns, index, refused)
    bad = np.flatnonzero(~good)
    first = ((int(index[k]), result.flaws[int(result.flaw[k])]) for k in bad[:MAX_ERRORS])
    return Batch(received, columns.take(good), index[good], refused.plus(first, len(bad)))


def read_pings(
    body: bytes, media_type: str | None, encoding: str | None, limits: Limits
) -> Batch[PingColumns]:
    """The pings of a body, checked.

    Raises BadInput, TooLarge or WrongMedia where the body as a whole cannot be taken.
    """
    lines = is_lines(media_type)
    found = decoded(PINGS, inflated(body, encoding), lines)
    columns = ping_columns(found.items)
    return batch_of(columns, limits, found.index, found.received, found.broken)


def read_incidents(
    body: bytes, media_type: str | None, encoding: str | None, limits: Limits
) -> Batch[IncidentColumns]:
    """The incidents of a body, checked. Raises as `read_pings` does."""
    lines = is_lines(media_type)
    found = decoded(INCIDENTS, inflated(body, encoding), lines)
    columns = incident_columns(found.items)
    return batch_of(columns, limits, found.index, found.received, found.broken)


def keep_pings(
    c: Connection,
    batch: Batch[PingColumns],
    register: bool,
    only_units: Collection[str] | None = None,
) -> Receipt:
    """Stores the good pings of a batch; its receipt holds once the connection has committed.

    `register` adds units that are not known yet; otherwise their pings are refused as
    unknown_unit, and so are those of units other than `only_units` where that is given.
    """
    columns = batch.columns
    names = columns.unit_id.names
    used = np.unique(columns.unit_id.code).tolist()
    allowed = [names[k] for k in used if only_units is None or names[k] in only_units]
    numbers = unit_numbers(c, allowed, register) if allowed else {}
    unit = np.array([numbers.get(name, -1) for name in names] or [-1])[columns.unit_id.code]
    here = unit >= 0
    refused = batch.refused.plus(_strangers(batch, ~here), int((~here).sum()))
    pings = pings_of_columns(columns, unit)
    accepted = add_pings(c, pings if here.all() else pings.take(here), REACH_US)
    return refused.receipt(batch.received, accepted)


def keep_incidents(c: Connection, batch: Batch[IncidentColumns], resolution: int) -> Receipt:
    """Stores the good incidents of a batch; its receipt holds once the connection has committed.

    `resolution`: of the H3 cell that is stored beside the point.
    """
    accepted = add_incidents(c, _rows_of_columns(batch.columns, resolution))
    return batch.refused.receipt(batch.received, accepted)


def accept_pings(
    database: Database,
    settings: Settings,
    body: bytes,
    media_type: str | None,
    encoding: str | None,
    now_us: int,
    only_units: Collection[str] | None = None,
) -> Receipt:
    """The receipt of a body of pings, all of whose good ones are on disk.

    Raises BadInput, TooLarge or WrongMedia where the body as a whole cannot be taken, and
    DatabaseAway; nothing was stored then.
    """
    limits = Limits(now_us, settings.retention_days)
    batch = read_pings(body, media_type, encoding, limits)
    if not len(batch.columns):
        return batch.refused.receipt(batch.received, 0)
    with database.write() as c:
        return keep_pings(c, batch, settings.register_units, only_units)


def accept_incidents(
    database: Database,
    settings: Settings,
    body: bytes,
    media_type: str | None,
    encoding: str | None,
    now_us: int,
) -> Receipt:
    """The receipt of a body of incidents, all of whose good ones are on disk. Raises likewise."""
    batch = read_incidents(body, media_type, encoding, Limits(now_us))
    if not len(batch.columns):
        return batch.refused.receipt(batch.received, 0)
    with database.write() as c:
        return keep_incidents(c, batch, settings.resolution)


def pings_of_columns(columns: PingColumns, unit: Ints) -> Pings:
    """Columns with the numbers of their units (n,) as pings."""
    return Pings(
        unit=unit,
        time_us=columns.time_us,
        lat=columns.lat,
        lon=columns.lon,
        speed_mps=columns.speed_mps,
        heading_deg=columns.heading_deg,
        accuracy_m=columns.accuracy_m,
        status=columns.status,
    )


def _rows_of_columns(columns: IncidentColumns, resolution: int) -> IncidentRows:
    return IncidentRows(
        incident_id=columns.incident_id.tolist(),
        occurred_from_us=columns.occurred_from_us,
        occurred_to_us=columns.occurred_to_us,
        reported_at_us=columns.reported_at_us,
        lat=columns.lat,
        lon=columns.lon,
        cell=cells_at(columns.lat, columns.lon, resolution),
        category=[name or "" for name in columns.category.texts()],
        final_category=columns.final_category.texts(),
        source=np.maximum(columns.source, 0),  # not sent: unknown
        municipality=columns.municipality.texts(),
    )


def _strangers(batch: Batch[PingColumns], rows: np.ndarray) -> Iterable[tuple[int, Flaw]]:
    names = batch.columns.unit_id.names
    for k in np.flatnonzero(rows)[:MAX_ERRORS].tolist():
        name = names[int(batch.columns.unit_id.code[k])]
        message = f"unit {name!r} is not registered, or not one that this key may send for"
        yield int(batch.index[k]), Flaw(UNKNOWN_UNIT, "unit_id", message)
