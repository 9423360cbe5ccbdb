"""Rows of a file, as its columns came, turned by a profile into pings or incidents in columns."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.checks import MALFORMED, C, Flaw
from app.facts import (
    BAD_CODE,
    NO_CODE,
    Coded,
    Floats,
    IncidentColumns,
    Ints,
    Mask,
    PingColumns,
    code_of,
)
from app.files.rows import Rows, in_wgs84, instants, numbers, texts, utc_of
from app.geo.fixes import STATUS
from app.geo.risk import SOURCES
from app.instants import ABSENT, INVALID, civil_us, known
from app.profile import MOMENT, Layout
from app.shifts import DAY_US

ID_BYTES = 12  # one chance in 10^11 that two of 10^9 contents share their id


class Mapped(NamedTuple, Generic[C]):
    """Columns, what is malformed in them so far (as `checks.checked` takes it), and who is left.

    `left` (n,) bool: false for rows that the profile excludes.
    """

    columns: C
    found: Ints
    flaws: tuple[Flaw, ...]
    left: Mask


@dataclass
class Numbering:
    """How often each content has come so far in one file."""

    seen: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def of(self, contents: NDArray[np.uint64]) -> Ints:
        """The number of each row among the rows of the same content, from 0. (n,) int64."""
        order = np.argsort(contents, kind="stable")
        ordered = contents[order]
        among = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        before = np.searchsorted(self.seen, ordered, side="right")
        before -= np.searchsorted(self.seen, ordered)
        result = np.empty(len(contents), dtype=np.int64)
        result[order] = before + among
        self.seen = np.sort(np.concatenate([self.seen, ordered]), kind="stable")
        return result


class _Reading:
    """One batch of rows on its way: reads columns and notes what is malformed in them."""

    def __init__(self, rows: Rows, layout: Layout) -> None:
        self.rows, self.layout, self.profile = rows, layout, layout.profile
        self.found = np.full(len(rows), -1, dtype=np.int64)
        self.flaws: list[Flaw] = []

    def column(self, name: str) -> pa.Array | None:
        """The file's column for our field, None where it has none."""
        theirs = self.layout.source.get(name)
        return None if theirs is None else self.rows.columns[theirs]

    def note(self, name: str, bad: Mask, rule: str) -> None:
        """Takes down that these rows are malformed in that field."""
        if bad.any():
            self.found[bad & (self.found < 0)] = len(self.flaws)
            self.flaws.append(Flaw(MALFORMED, name, f"{name} {rule}"))

    def number(self, name: str) -> Floats:
        """A field of numbers; NaN where nothing was sent."""
        column = self.column(name)
        if column is None:
            return np.full(len(self.rows), np.nan)
        values, bad = numbers(column, self.rows.quoted)
        self.note(name, bad, "must be a number")
        return values

    def text(self, name: str) -> Coded:
        """A field of texts: blank as the profile's default, its words as ours."""
        column = self.column(name)
        n = len(self.rows)
        words = Coded(np.full(n, NO_CODE), ())
        if column is not None:
            words = texts(column, self.rows.quoted)
        ours = self.profile.values.get(name, {})
        names = tuple(ours.get(word, word) for word in words.names)
        default = self.profile.defaults.get(name)
        if default is None or not (words.code < 0).any():
            return Coded(words.code, names)
        return Coded(np.where(words.code < 0, len(names), words.code), (*names, default))

    def choice(self, name: str, allowed: tuple[str, ...]) -> NDArray[np.int8]:
        """A field of one of the allowed texts, as its code."""
        words = self.text(name)
        code = code_of(allowed)
        codes = [*(code.get(word, BAD_CODE) for word in words.names), NO_CODE]
        return np.array(codes, dtype=np.int8)[words.code]

    def instant(self, name: str) -> tuple[Ints, Ints]:
        """A field of instants in UTC, and what the clock on the wall showed where that is said."""
        column = self.column(name)
        if column is not None:
            if pa.types.is_boolean(column.type):
                self.note(name, np.asarray(column.is_valid()), "must be a time")
            return instants(column, self.profile, self.rows.quoted)
        wall = np.full(len(self.rows), ABSENT)
        if self.layout.parts and name == MOMENT[self.layout.kind]:
            wall = self._of_parts()
        return utc_of(wall, self.profile.timezone), wall

    def place(self) -> tuple[Floats, Floats]:
        """Latitude and longitude [deg], NaN where there are none."""
        if self.rows.lat is not None and self.rows.lon is not None:
            return self.rows.lat, self.rows.lon
        place = {"lat": self.number("lat"), "lon": self.number("lon")}
        for none in self.profile.no_coordinates:
            absent = np.logical_and.reduce([place[k] == value for k, value in none.items()])
            place = {k: np.where(absent, np.nan, values) for k, values in place.items()}
        return in_wgs84(place["lat"], place["lon"], self.profile.crs)

    def _of_parts(self) -> Ints:
        """What the clock on the wall showed, from the parts of a date."""
        parts, n = self.layout.parts, len(self.rows)
        assert parts is not None  # noqa: S101  asked by the caller
        values: dict[str, Floats] = {}
        for name in ("year", "month", "day", "hour", "minute", "second"):
            theirs = getattr(parts, name)
            if theirs is None:
                values[name] = np.zeros(n)
                continue
            values[name], bad = numbers(self.rows.columns[theirs], self.rows.quoted)
            self.note(MOMENT[self.layout.kind], bad, f"has no number in {theirs}")
        fit = np.logical_and.reduce([v == np.floor(v) for v in values.values()])
        whole = {k: np.where(fit, v, 0).astype(np.int64) for k, v in values.items()}
        for name, most in (("hour", 23), ("minute", 59), ("second", 59)):
            fit &= (whole[name] >= 0) & (whole[name] <= most)
        seconds = whole["hour"] * 3600 + whole["minute"] * 60 + whole["second"]
        wall = civil_us(whole["year"], whole["month"], whole["day"], seconds, fit)
        wall[np.isnan(values["year"]) & (wall == INVALID)] = ABSENT
        return wall


def pings_of_rows(rows: Rows, layout: Layout) -> Mapped[PingColumns]:
    """The pings of some rows, as the profile reads them."""
    reading = _Reading(rows, layout)
    lat, lon = reading.place()
    columns = PingColumns(
        unit_id=_prefixed(reading.text("unit_id"), layout.profile.id_prefix),
        time_us=reading.instant("time")[0],
        lat=lat,
        lon=lon,
        speed_mps=reading.number("speed_mps"),
        heading_deg=reading.number("heading_deg"),
        accuracy_m=reading.number("accuracy_m"),
        status=reading.choice("status", STATUS),
    )
    return Mapped(columns, reading.found, tuple(reading.flaws), _left(reading))


def incidents_of_rows(rows: Rows, layout: Layout, numbering: Numbering) -> Mapped[IncidentColumns]:
    """The incidents of some rows, as the profile reads them; `numbering` is that of the file."""
    reading = _Reading(rows, layout)
    lat, lon = reading.place()
    from_us, wall_us = reading.instant("occurred_from")
    columns = IncidentColumns(
        incident_id=_ids(reading, from_us, numbering),
        occurred_from_us=from_us,
        occurred_to_us=_until(reading, wall_us, reading.instant("occurred_to")[0]),
        reported_at_us=reading.instant("reported_at")[0],
        lat=lat,
        lon=lon,
        category=reading.text("category"),
        final_category=reading.text("final_category"),
        source=reading.choice("source", SOURCES),
        municipality=reading.text("municipality"),
    )
    return Mapped(columns, reading.found, tuple(reading.flaws), _left(reading))


def _ids(reading: _Reading, from_us: Ints, numbering: Numbering) -> NDArray[np.object_]:
    """The incidents' ids (n,), None where a row has none."""
    result = np.empty(len(reading.rows), dtype=np.object_)
    prefix = reading.profile.id_prefix
    derived = reading.layout.derived_id
    if derived is None:
        result[:] = _prefixed(reading.text("incident_id"), prefix).texts()
        return result
    joined = pc.binary_join_element_wise(
        *_content(reading, from_us), "\x1f", null_handling="replace", null_replacement=""
    )
    digests = [blake2b(text.encode(), digest_size=ID_BYTES).digest() for text in joined.to_pylist()]
    names = [prefix + digest.hex() for digest in digests]
    if derived.identical == "keep" and names:
        heads = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, ID_BYTES)[:, :8]
        number = numbering.of(np.ascontiguousarray(heads).view("<u8").ravel())
        for k in np.flatnonzero(number).tolist():
            names[k] += f"-{number[k] + 1}"
    result[:] = names
    return result


def _content(reading: _Reading, from_us: Ints) -> list[pa.Array]:
    """What makes two rows the same, as texts: the moment, the place as given, all other words.

    The same whether a number stood in a text file or in a binary one.
    """
    result = [pc.cast(pa.array(from_us), pa.string())]
    for name in ("lat", "lon"):
        bits = reading.number(name).view(np.int64)
        result.append(pc.cast(pa.array(bits), pa.string()))
    others = [name for name in reading.layout.source if name not in ("occurred_from", "lat", "lon")]
    derived = reading.layout.derived_id
    columns = [reading.layout.source[name] for name in others]
    columns += [name for name in (derived.also if derived else ()) if name in reading.rows.columns]
    return result + [pc.cast(reading.rows.columns[name], pa.string()) for name in columns]


def _until(reading: _Reading, wall_us: Ints, until_us: Ints) -> Ints:
    """The end of incidents: that of the local day where the profile says the hour is unknown."""
    unknown = reading.profile.hour_unknown
    if unknown is None or reading.profile.timezone is None:
        return until_us
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in unknown.at]
    rows = known(wall_us) & (until_us == ABSENT)
    rows &= np.isin(wall_us % DAY_US, np.array(minutes) * 60_000_000)
    if unknown.categories:
        column = reading.column("category")
        if column is not None:
            rows &= texts(column, reading.rows.quoted).where(set(unknown.categories).__contains__)
    ends = np.where(rows, (wall_us // DAY_US + 1) * DAY_US, ABSENT)
    return np.where(rows, utc_of(ends, reading.profile.timezone) - 1, until_us)


def _left(reading: _Reading) -> Mask:
    """The rows that the profile does not exclude."""
    result = np.ones(len(reading.rows), dtype=np.bool_)
    for name, words in reading.profile.exclude.items():
        column = reading.column(name)
        if column is not None:
            result &= ~texts(column, reading.rows.quoted).where(set(words).__contains__)
    return result


def _prefixed(words: Coded, prefix: str) -> Coded:
    return Coded(words.code, tuple(prefix + name for name in words.names)) if prefix else words
