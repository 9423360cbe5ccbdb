"""From a body to facts on disk and a receipt: decode, check, store, answer."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Generic

import numpy as np
from sqlalchemy import Connection

from app.checks import UNKNOWN_UNIT, C, Flaw, Limits, checked
from app.clocks import Clocks
from app.db import Database
from app.errors import DatabaseAway
from app.facts import Floats, IncidentColumns, Ints, Mask, PingColumns
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
from app.shifts import SECOND_US
from app.store.incidents import IncidentRows, add_incidents
from app.store.pings import add_pings
from app.store.units import unit_numbers

NO_LIMITS: Mapping[int, Collection[str]] = MappingProxyType({})


@dataclass(frozen=True)
class Batch(Generic[C]):
    """Rows of one call or several that passed every check, and what each call had refused.

    `columns` (n rows): call after call. `call` (n,) int64: which call each row came with, `index`
    (n,) int64: where it stood in it. `received`, `refused`: of each call. `codes`: how often items
    of all were refused for what.
    """

    columns: C
    call: Ints
    index: Ints
    received: tuple[int, ...]
    refused: tuple[Refused, ...]
    codes: Counter[str]

    def receipts(self, new: Mask) -> list[Receipt]:
        """What each call is told, once the rows are stored and `new` (n,) says which were new."""
        accepted = np.bincount(self.call[new], minlength=len(self.received)).tolist()
        return [
            refused.receipt(received, count)
            for refused, received, count in zip(self.refused, self.received, accepted, strict=True)
        ]

    def without(self, flaw: Ints, flaws: Sequence[Flaw]) -> "Batch[C]":
        """The batch without the rows that have a flaw: `flaw` (n,) indexes `flaws`, or is -1."""
        refused, codes = list(self.refused), self.codes.copy()
        bad = np.flatnonzero(flaw >= 0)
        of_each_call = np.split(bad, np.flatnonzero(np.diff(self.call[bad])) + 1)
        for mine in of_each_call if len(bad) else ():
            number = int(self.call[mine[0]])
            first = ((int(self.index[k]), flaws[int(flaw[k])]) for k in mine[:MAX_ERRORS])
            refused[number] = refused[number].plus(first, len(mine))
        for k, count in zip(*np.unique(flaw[bad], return_counts=True), strict=True):
            codes[flaws[int(k)].code] += int(count)
        good = flaw < 0
        columns, call, index = self.columns.take(good), self.call[good], self.index[good]
        return Batch(columns, call, index, self.received, tuple(refused), codes)


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
    one = np.zeros(len(columns), np.int64)
    return _checked(_unchecked(columns, one, index, [received], [broken]), limits, found, flaws)


def batch_of_calls(calls: Sequence[Decoded[T]], columns: C, limits: Limits) -> Batch[C]:
    """The columns of several calls, one after another, checked in one go."""
    sizes = [len(call.items) for call in calls]
    batch = _unchecked(
        columns,
        np.repeat(np.arange(len(calls)), sizes),
        np.concatenate([np.empty(0, np.int64), *(call.index for call in calls)]),
        [call.received for call in calls],
        [call.broken for call in calls],
    )
    return _checked(batch, limits)


def _unchecked(
    columns: C,
    call: Ints,
    index: Ints,
    received: Sequence[int],
    broken: Sequence[Sequence[tuple[int, Flaw]]],
) -> Batch[C]:
    refused = tuple(Refused().plus(items, len(items)) for items in broken)
    codes = Counter(flaw.code for items in broken for _, flaw in items)
    return Batch(columns, call, index, tuple(received), refused, codes)


def _checked(
    batch: Batch[C], limits: Limits, found: Ints | None = None, flaws: Sequence[Flaw] = ()
) -> Batch[C]:
    result = checked(batch.columns, limits, found, flaws)
    return batch if result.good.all() else batch.without(result.flaw, result.flaws)


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
) -> tuple[Batch[PingColumns], Mask]:
    """Stores the good pings of a batch: what is left of it, and which rows (n,) were new.

    Its receipts hold once the connection has committed.

    `register` adds units that are not known yet; otherwise their pings are refused as
    unknown_unit, and so are those of units other than `only_units` of a call that has such.
    """
    names, code = batch.columns.unit_id.names, batch.columns.unit_id.code
    allowed = np.ones(len(code), dtype=np.bool_)
    for number, mine in only_units.items():
        rows = batch.call == number
        allowed[rows] = np.array([name in mine for name in names], dtype=np.bool_)[code[rows]]
    used = [names[k] for k in np.unique(code[allowed]).tolist()]
    numbers = unit_numbers(c, used, register) if used else {}
    unit = np.array([numbers.get(name, -1) for name in names] or [-1])[code]
    unit[~allowed] = -1
    if not (unit >= 0).all():
        batch = batch.without(np.where(unit < 0, code, -1), [_stranger(name) for name in names])
    new = add_pings(c, pings_of_columns(batch.columns, unit[unit >= 0]), REACH_US)
    return batch, new


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


@dataclass(frozen=True)
class Done:
    """What became of some calls, each in its place.

    `outcomes`: a receipt, all of whose good pings are on disk; or why nothing of this call was
    stored: BadInput, TooLarge or WrongMedia where it cannot be taken as a whole, another exception
    for a defect. Of all together: `codes`, what items were refused for and how often; `lag_s`
    (n,), how late the new pings came; `write_s`, how long it took to store and flush them.
    """

    outcomes: list[Receipt | Exception]
    codes: Counter[str]
    lag_s: Floats
    write_s: float


def accept_pings(
    database: Database,
    settings: Settings,
    calls: Sequence[Call],
    now_us: int,
    clocks: Clocks | None = None,
) -> Done:
    """What became of each call, as if they came one after another, in one durable write.

    `clocks` hear of what was stored.

    Raises DatabaseAway; nothing of any call was stored then.
    """
    try:
        return _accept_together(database, settings, calls, now_us, clocks)
    except DatabaseAway:
        raise
    except Exception as defect:
        if len(calls) == 1:
            return Done([defect], Counter(), np.empty(0), 0.0)
        alone = [accept_pings(database, settings, [call], now_us, clocks) for call in calls]
        return Done(
            [outcome for done in alone for outcome in done.outcomes],
            sum((done.codes for done in alone), Counter[str]()),
            np.concatenate([done.lag_s for done in alone]),
            sum(done.write_s for done in alone),
        )


def _accept_together(
    database: Database,
    settings: Settings,
    calls: Sequence[Call],
    now_us: int,
    clocks: Clocks | None,
) -> Done:
    read = [_decoded(call) for call in calls]
    good = {k: found for k, found in enumerate(read) if isinstance(found, Decoded)}
    batch = read_pings([*good.values()], Limits(now_us, settings.retention_days))
    new = np.empty(0, dtype=np.bool_)
    only = {n: calls[k].only_units for n, k in enumerate(good)}
    limited = {n: units for n, units in only.items() if units is not None}
    began = time.perf_counter()
    if len(batch.columns):
        with database.write() as c:
            batch, new = keep_pings(c, batch, settings.register_units, limited)
        if clocks is not None:
            clocks.hear(batch.columns, now_us)
    write_s = time.perf_counter() - began
    receipt = dict(zip(good, batch.receipts(new), strict=True))
    outcomes = [f if isinstance(f, Exception) else receipt[k] for k, f in enumerate(read)]
    return Done(outcomes, batch.codes, (now_us - batch.columns.time_us[new]) / SECOND_US, write_s)


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
