"""Rows of a file as its columns came, and such a column as numbers, texts, instants or places."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyproj import Transformer

from app.checks import Flaw
from app.errors import BadInput
from app.facts import NO_CODE, Coded, Floats, Ints, Mask
from app.instants import ABSENT, INVALID, format_us, rfc3339_us, unix_us, utc_us
from app.profile import Profile

UNIX_PER_S = {"unix": 1, "unix_ms": 1000}  # time formats that count since 1970
NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a file that could be cut into columns.

    `columns`: the file's own, by its own names, all of one length n. `index` (n,): where each row
    stood, from 0. `broken`: rows that could not be cut. `quoted`: whether the file tells texts
    from numbers, so that a number in quotes is none. `lat`, `lon` (n,) [deg] where the file has
    geometries. `done` of `total`: how far the file has been read, in bytes or rows.
    """

    columns: Mapping[str, pa.Array]
    index: Ints
    broken: tuple[tuple[int, Flaw], ...] = ()
    quoted: bool = True
    lat: Floats | None = None
    lon: Floats | None = None
    done: int = 0
    total: int | None = None

    def __len__(self) -> int:
        return len(self.index)


def numbers(column: pa.Array, quoted: bool) -> tuple[Floats, Mask]:
    """A column as float64 (n,), NaN for null; and where it holds something else, (n,) bool.

    A text is a number only where the file cannot tell one from the other (`quoted` false).
    """
    nothing = np.zeros(len(column), dtype=np.bool_)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return _floats(column), nothing
    if pa.types.is_decimal(kind):
        return _floats(pc.cast(column, pa.float64(), safe=False)), nothing
    if quoted or not _is_text(kind):
        return np.full(len(column), np.nan), np.asarray(column.is_valid())
    try:
        values = _floats(pc.cast(column, pa.float64()))
    except pa.ArrowInvalid:
        fit = pc.fill_null(pc.match_substring_regex(column, NUMBER), False)
        values = _floats(pc.cast(pc.if_else(fit, column, None), pa.float64()))
    said = np.asarray(pc.fill_null(pc.not_equal(column, ""), False))
    bad = said & ~np.isfinite(values)
    return np.where(bad, np.nan, values), bad


def texts(column: pa.Array, quoted: bool) -> Coded:
    """A column as texts; blank ones are null where a file cannot tell (`quoted` false)."""
    if not pa.types.is_dictionary(column.type):
        column = pc.cast(column, pa.string()).dictionary_encode()
    names = tuple("" if name is None else str(name) for name in column.dictionary.to_pylist())
    code = np.asarray(pc.fill_null(pc.cast(column.indices, pa.int64()), NO_CODE))
    if not quoted and "" in names:
        code = np.where(code == names.index(""), NO_CODE, code)
    return Coded(code, names)


def instants(column: pa.Array, profile: Profile, quoted: bool) -> tuple[Ints, Ints]:
    """A column as instants in UTC, and as the clock on the wall showed them where that is said.

    Raises BadInput for a column type that holds no times, or local ones without a time zone.
    """
    kind = column.type
    nowhere = np.full(len(column), ABSENT)
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), column.type.value_type
    if pa.types.is_timestamp(kind):
        whole = pc.cast(column, pa.timestamp("us", kind.tz), safe=False)
        us = np.asarray(pc.fill_null(pc.cast(whole, pa.int64()), ABSENT))
        if kind.tz is not None:
            return us, nowhere
        if profile.timezone is None:
            raise BadInput("times without an offset: name their time zone in a profile")
        return utc_of(us, profile.timezone), us
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _counted(_floats(column), profile), nowhere
    if not _is_text(kind):
        return np.where(np.asarray(column.is_valid()), INVALID, ABSENT), nowhere
    return _written(column, profile, quoted)


def in_wgs84(lat: Floats, lon: Floats, crs: str) -> tuple[Floats, Floats]:
    """Northing and easting in a reference system as latitude and longitude [deg].

    NaN stays; what the system cannot place becomes infinite.
    """
    if crs.upper() in ("EPSG:4326", "OGC:CRS84"):
        return lat + 0.0, lon + 0.0
    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    absent = np.isnan(lat) | np.isnan(lon)
    x, y = transformer.transform(np.where(absent, 0, lon), np.where(absent, 0, lat))
    return np.where(absent, np.nan, y), np.where(absent, np.nan, x)


def _written(column: pa.Array, profile: Profile, quoted: bool) -> tuple[Ints, Ints]:
    """Texts by each of the profile's formats in turn, until one fits."""
    column = pc.cast(column, pa.string())
    if not quoted:
        column = pc.if_else(pc.equal(column, ""), None, column)
    utc = np.where(np.asarray(column.is_valid()), INVALID, ABSENT)
    wall = np.full(len(column), ABSENT)
    for form in profile.time_formats:
        open_ = np.flatnonzero(utc == INVALID)
        if not len(open_):
            break
        some = column if len(open_) == len(column) else column.take(pa.array(open_))
        if form == "rfc3339":
            utc[open_] = rfc3339_us(some)
        elif form in UNIX_PER_S:
            values, _ = numbers(some, quoted)
            utc[open_] = np.where(np.isnan(values), INVALID, unix_us(values / UNIX_PER_S[form]))
        else:
            shown = format_us(some, form)
            wall[open_] = shown
            utc[open_] = utc_of(shown, profile.timezone)
    return utc, wall


def utc_of(wall_us: Ints, timezone: str | None) -> Ints:
    """What the clock on the wall showed, in UTC; as it is where no time zone is named."""
    return wall_us if timezone is None else utc_us(wall_us, timezone)


def _counted(numbers: Floats, profile: Profile) -> Ints:
    """Numbers by each of the profile's formats in turn that counts since 1970, until one fits."""
    utc = np.where(np.isnan(numbers), ABSENT, INVALID)
    for form in profile.time_formats:
        if form in UNIX_PER_S:
            utc = np.where(utc == INVALID, unix_us(numbers / UNIX_PER_S[form]), utc)
    return utc


def _floats(column: pa.Array) -> Floats:
    result: Floats = np.asarray(
        pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    return result


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
