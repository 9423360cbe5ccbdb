"""From a body to facts on disk and a receipt: decode, check, store, answer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Generic

import numpy as np
from sqlalchemy import Connection

from app.checks import UNKNOWN_UNIT, C, Flaw, Limits, checked
from app.db import Database
from app.errors import DatabaseAway
from app.facts import IncidentColumns, Ints, Mask, PingColumns
from app.geo.dwell import REACH_US
from app.geo.fixes import Pings
from app.geo.grid import cells_at
from app.intake.body import inflated, is_lines
from app.intake.decode import (
    INCIDENTS,
    PINGS,
    Decoded,
    PingItem,
    T,
    decoded,
    incident_columns,
    ping_columns,
)
from app.intake.receipt import MAX_ERRORS, Receipt, Refused
from app.settings import Settings
from app.store.incidents import IncidentRows, add_incidents
from app.store.pings import add_pings
from app.store.units import unit_numbers

NO_LIMITS: Mapping[int, Collection[str]] = MappingProxyType({})


@dataclass(frozen=True)
class Batch(Generic[C]):
    """Rows of one call or several that passed every check, and what each call had refused.

    `columns` (n rows): call after call. `call` (n,) int64: which call each row came with, `index`
    (n,) int64: where it stood in it. `received`, `refused`: of each call.
    """

    columns: C
    call: Ints
    index: Ints
    received: tuple[int, ...]
    refused: tuple[Refused, ...]

    def receipts(self, new: Mask) -> list[Receipt]:
        """What each call is told, once the rows are stored and `new` (n,) says which were new."""
        accepted = np.bincount(self.call[new], minlength=len(self.received)).tolist()
        return [
            refused.receipt(received, count)
            for refused, received, count in zip(self.refused, self.received, accepted, strict=True)
        ]

    def without(self, rows: Mask, flaw_of: Callable[[int], Flaw]) -> "Batch[C]":
        """The batch with some rows (n,) refused, each for its flaw."""
        refused = list(self.refused)
        bad = np.flatnonzero(rows)
        of_each = np.split(bad, np.flatnonzero(np.diff(self.call[bad])) + 1)
        for mine in of_each if len(bad) else ():
            number = int(self.call[mine[0]])
            first = ((int(self.index[k]), flaw_of(k)) for k in mine[:MAX_ERRORS].tolist())
            refused[number] = refused[number].plus(first, len(mine))
        columns = self.columns.take(~rows)
        return Batch(columns, self.call[~rows], self.index[~rows], self.received, tuple(refused))


def batch_of(
    columns: C,
    limits: Limits,
    index: Ints,
    received: int,
    broken: Sequence[tuple[int, Flaw]] = (),
    found: Ints | None = None,
    flaws: Sequence[Flaw] = (),
) -> Batch[C]:
    """The columns of one call, checked, beside what was `broken` before there were columns.

    `index` (n,) ascending: where each row stood among the `received`. `found` and `flaws`: what
    is known to be malformed already, as `checked` takes it.
    """
    refused = (Refused().plus(broken, len(broken)),)
    batch = Batch(columns, np.zeros(len(columns), np.int64), index, (received,), refused)
    return _checked(batch, limits, found, flaws)


def batch_of_calls(calls: Sequence[Decoded[T]], columns: C, limits: Limits) -> Batch[C]:
    """The columns of several calls, one after another, checked in one go."""
    sizes = [len(call.items) for call in calls]
    batch = Batch(
        columns,
        np.repeat(np.arange(len(calls)), sizes),
        np.concatenate([np.empty(0, np.int64), *(call.index for call in calls)]),
        tuple(call.received for call in calls),
        tuple(Refused().plus(call.broken, len(call.broken)) for call in calls),
    )
    return _checked(batch, limits)


def _checked(
    batch: Batch[C], limits: Limits, found: Ints | None = None, flaws: Sequence[Flaw] = ()
) -> Batch[C]:
    result = checked(batch.columns, limits, found, flaws)
    if result.good.all():
        return batch
    return batch.without(~result.good, lambda k: result.flaws[int(result.flaw[k])])


def decoded_pings(body: bytes, media_type: str | None, encoding: str | None) -> Decoded[PingItem]:
    """The pings of a body, not yet checked.

    Raises BadInput, TooLarge or WrongMedia where the body as a whole cannot be taken.
    """
    return decoded(PINGS, inflated(body, encoding), is_lines(media_type))


def read_pings(calls: Sequence[Decoded[PingItem]], limits: Limits) -> Batch[PingColumns]:
    """The pings of several calls, checked."""
    items = list(chain.from_iterable(call.items for call in calls))
    return batch_of_calls(calls, ping_columns(items), limits)


def read_incidents(
    body: bytes, media_type: str | None, encoding: str | None, limits: Limits
) -> Batch[IncidentColumns]:
    """The incidents of a body, checked. Raises as `decoded_pings` does."""
    found = decoded(INCIDENTS, inflated(body, encoding), is_lines(media_type))
    return batch_of_calls([found], incident_columns(found.items), limits)


def keep_pings(
    c: Connection,
    batch: Batch[PingColumns],
    register: bool,
    only_units: Mapping[int, Collection[str]] = NO_LIMITS,
) -> list[Receipt]:
    """Stores the good pings of a batch; the receipts hold once the connection has committed.

    `register` adds units that are not known yet; otherwise their pings are refused as
    unknown_unit, and so are those of units other than `only_units` of a call that has such.
    """
    names = np.array(batch.columns.unit_id.names, dtype=np.object_)
    code = batch.columns.unit_id.code
    allowed = np.ones(len(code), dtype=np.bool_)
    for number, mine in only_units.items():
        allowed[batch.call == number] &= np.isin(names, list(mine))[code[batch.call == number]]
    used = names[np.unique(code[allowed])].tolist()
    numbers = unit_numbers(c, used, register) if used else {}
    unit = np.array([numbers.get(name, -1) for name in names] or [-1])[code]
    unit[~allowed] = -1
    if not (unit >= 0).all():
        batch = batch.without(unit < 0, lambda k: _stranger(str(names[code[k]])))
    pings = pings_of_columns(batch.columns, unit[unit >= 0])
    return batch.receipts(add_pings(c, pings, REACH_US))


def keep_incidents(c: Connection, batch: Batch[IncidentColumns], resolution: int) -> Receipt:
    """Stores the good incidents of a call; its receipt holds once the connection has committed.

    `resolution`: of the H3 cell that is stored beside the point.
    """
    accepted = add_incidents(c, _rows_of_columns(batch.columns, resolution))
    return batch.refused[0].receipt(batch.received[0], accepted)


@dataclass(frozen=True)
class Call:
    """A call that brings pings: how they are decoded, and which units it may send for.

    `decode` raises as `decoded_pings` does. `only_units` None: any.
    """

    decode: Callable[[], Decoded[PingItem]]
    only_units: Collection[str] | None = None


def accept_pings(
    database: Database, settings: Settings, calls: Sequence[Call], now_us: int
) -> list[Receipt | Exception]:
    """The outcome of each call, as if they came one after another, in one durable write.

    A receipt, all of whose good pings are on disk; or why nothing of this call was stored:
    BadInput, TooLarge or WrongMedia where it cannot be taken as a whole, another exception for a
    defect. Raises DatabaseAway; nothing of any call was stored then.
    """
    try:
        return _accept_together(database, settings, calls, now_us)
    except DatabaseAway:
        raise
    except Exception as defect:
        if len(calls) == 1:
            return [defect]
        alone = (accept_pings(database, settings, [call], now_us) for call in calls)
        return [outcome for outcomes in alone for outcome in outcomes]


def _accept_together(
    database: Database, settings: Settings, calls: Sequence[Call], now_us: int
) -> list[Receipt | Exception]:
    read = [_decoded(call) for call in calls]
    good = [k for k, found in enumerate(read) if isinstance(found, Decoded)]
    limits = Limits(now_us, settings.retention_days)
    batch = read_pings([found for found in read if isinstance(found, Decoded)], limits)
    only = {k: calls[j].only_units for k, j in enumerate(good)}
    limited = {k: units for k, units in only.items() if units is not None}
    if len(batch.columns):
        with database.write() as c:
            receipts = keep_pings(c, batch, settings.register_units, limited)
    else:
        receipts = batch.receipts(np.empty(0, np.bool_))
    outcome = dict(zip(good, receipts, strict=True))
    return [found if isinstance(found, Exception) else outcome[k] for k, found in enumerate(read)]


def accept_incidents(
    database: Database,
    settings: Settings,
    body: bytes,
    media_type: str | None,
    encoding: str | None,
    now_us: int,
) -> Receipt:
    """The receipt of a body of incidents, all of whose good ones are on disk.

    Raises BadInput, TooLarge or WrongMedia where the body as a whole cannot be taken, and
    DatabaseAway; nothing was stored then.
    """
    batch = read_incidents(body, media_type, encoding, Limits(now_us))
    if not len(batch.columns):
        return batch.refused[0].receipt(batch.received[0], 0)
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


def _decoded(call: Call) -> Decoded[PingItem] | Exception:
    try:
        return call.decode()
    except Exception as error:  # of this call alone; the others go on
        return error


def _stranger(name: str) -> Flaw:
    message = f"unit {name!r} is not registered, or not one that this key may send for"
    return Flaw(UNKNOWN_UNIT, "unit_id", message)
