"""Whole files at once, for work without a database: pings to be cleaned, incidents to be judged."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.checks import Limits, checked
from app.facts import Floats, IncidentColumns, Ints, PingColumns
from app.files.mapping import Numbering, incidents_of_rows, pings_of_rows
from app.files.reading import open_rows
from app.geo.fixes import NOT_SENT, Pings
from app.geo.grid import cells_at
from app.geo.risk import Incidents
from app.instants import ABSENT, LAST_US, known
from app.profile import read_profile

NO_UNIT = ""  # what stands for the unit of a row that names none


def pings_of_file(path: Path, profile: str | Path) -> tuple[Pings, list[str]]:
    """Every row of a file as a ping, in the file's order, and the call signs by their number.

    No row is left out: one without a unit, a time or a place (or that cannot be read at all) has
    NaN for its coordinates, and ABSENT for a time that is none, so that cleaning can count it.
    Speed, heading and accuracy that cannot be are taken as not sent.
    Raises BadInput for a file or profile that cannot be read.
    """
    source = open_rows(path, read_profile(profile), "pings")
    numbers: dict[str, int] = {}
    table = {column.name: getattr(_blank(0, numbers), column.name) for column in fields(Pings)}
    length = 0
    for rows in source.rows:
        mapped = pings_of_rows(rows, source.layout)
        columns = mapped.columns if mapped.left.all() else mapped.columns.take(mapped.left)
        for some in (_pings(columns, numbers), _blank(len(rows.broken), numbers)):
            _append(table, length, some)
            length += len(some)
    for values in table.values():
        values.resize(length, refcheck=False)
    return Pings(**table), list(numbers)


def incidents_of_file(path: Path, profile: str | Path, resolution: int) -> tuple[Incidents, int]:
    """The incidents of a file that pass every check, and how many rows do not.

    `cell` at that H3 resolution; each id counts once, as the file has it last. Sorted by time and
    content, so that the order of the file does not matter.
    Raises BadInput for a file or profile that cannot be read.
    """
    kept: dict[str, tuple[int, int]] = {}
    batches: list[IncidentColumns] = []
    refused = 0
    for columns, bad in _checked_incidents(path, profile):
        refused += bad
        kept.update((name, (len(batches), k)) for k, name in enumerate(columns.incident_id))
        batches.append(columns)
    chosen = np.array(list(kept.values()), dtype=np.int64).reshape(-1, 2)
    parts = [
        columns.take(np.sort(chosen[chosen[:, 0] == k, 1])) for k, columns in enumerate(batches)
    ]
    return _incidents(parts, resolution), refused


def _append(table: dict[str, NDArray[Any]], length: int, pings: Pings) -> None:
    """Writes pings behind the first `length` rows of the table, which grows in place.

    Gathering pieces and joining them at the end would need the memory twice.
    """
    end = length + len(pings)
    for name, values in table.items():
        if end > len(values):
            values.resize(end + end // 4, refcheck=False)
        values[length:end] = getattr(pings, name)


def _checked_incidents(path: Path, profile: str | Path) -> Iterator[tuple[IncidentColumns, int]]:
    source, numbering = open_rows(path, read_profile(profile), "incidents"), Numbering()
    for rows in source.rows:
        mapped = incidents_of_rows(rows, source.layout, numbering)
        result = checked(mapped.columns, Limits(LAST_US), mapped.found, mapped.flaws)
        good = result.good & mapped.left
        bad = int((~result.good & mapped.left).sum())
        yield mapped.columns.take(good), bad + len(rows.broken)


def _pings(columns: PingColumns, numbers: dict[str, int]) -> Pings:
    """Columns as pings; gives each new call sign the next number."""
    names = columns.unit_id.names
    used = np.unique(columns.unit_id.code[columns.unit_id.code >= 0]).tolist()
    number = np.full(len(names) + 1, -1, dtype=np.int64)
    for k in used:
        number[k] = numbers.setdefault(names[k], len(numbers))
    if (columns.unit_id.code < 0).any():
        number[-1] = numbers.setdefault(NO_UNIT, len(numbers))
    there = (columns.unit_id.code >= 0) & known(columns.time_us)
    return Pings(
        unit=number[columns.unit_id.code],
        time_us=np.where(known(columns.time_us), columns.time_us, ABSENT),
        lat=np.where(there, columns.lat, np.nan),
        lon=np.where(there, columns.lon, np.nan),
        speed_mps=_within(columns.speed_mps, np.finfo(np.float64).max),
        heading_deg=_within(columns.heading_deg, 360),
        accuracy_m=_within(columns.accuracy_m, np.finfo(np.float64).max),
        status=np.maximum(columns.status, NOT_SENT),
    )


def _within(values: Floats, most: float) -> Floats:
    return np.where((values >= 0) & (values <= most), values, np.nan)


def _blank(count: int, numbers: dict[str, int]) -> Pings:
    """Rows that could not be read."""
    unit = numbers.setdefault(NO_UNIT, len(numbers)) if count else -1
    nothing = np.full(count, np.nan)
    return Pings(
        unit=np.full(count, unit),
        time_us=np.full(count, ABSENT),
        lat=nothing,
        lon=nothing,
        speed_mps=nothing,
        heading_deg=nothing,
        accuracy_m=nothing,
        status=np.full(count, NOT_SENT, dtype=np.int8),
    )


def _incidents(parts: list[IncidentColumns], resolution: int) -> Incidents:
    names = sorted({name for part in parts for name in part.category.names})
    place = {name: k for k, name in enumerate(names)}

    def joined(name: str) -> Ints:
        return np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)])

    def degrees(name: str) -> Floats:
        return np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)])

    codes = [
        np.array([place[n] for n in p.category.names])[p.category.code] for p in parts if len(p)
    ]
    category = np.concatenate([np.zeros(0, np.int64), *codes])
    from_us, reported_us = joined("occurred_from_us"), joined("reported_at_us")
    to_us = np.maximum(from_us, joined("occurred_to_us"))  # ABSENT is the least of all
    cell = cells_at(degrees("lat"), degrees("lon"), resolution)
    source = np.maximum(joined("source"), 0)
    order = np.lexsort((source, cell, category, to_us, from_us))
    return Incidents(
        time_us=from_us[order],
        to_us=to_us[order],
        known_us=np.where(known(reported_us), reported_us, to_us)[order],
        cell=cell[order],
        category=category[order].astype(np.int32),
        source=source[order].astype(np.int8),
        categories=tuple(names),
    )
