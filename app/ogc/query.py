"""What a request for features may say, read strictly: what cannot be read is BadInput."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes

import numpy as np
import shapely

from app.errors import BadInput
from app.moments import DAY, day_of, moment_us
from app.ogc import crs
from app.ogc.collections import BOOLEAN, INTEGER, NUMBER, TEXT, TIME, Collection
from app.shifts import DAY_US

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
MAX_QUERY = 16_384  # bytes of all parameters
MAX_OFFSET_DIGITS = 15
ANYWHERE = frozenset({"api_key", "token"})  # GIS clients append both to every address
FORMATS = frozenset({"json", "geojson"})
ITEM = frozenset({"crs"})
ITEMS = ITEM | {
    *("limit", "offset", "bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs")
}
LANGUAGES = ("cql2-text", "cql2-json")
EVER_US = 1 << 62  # beyond any instant
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Filter:
    """A filter as it was written, its language, and the system of its coordinates."""

    text: str
    language: str
    crs: str


@dataclass(frozen=True)
class Query:
    """A request for features. `boxes`: west, south, east, north in degrees, two at the date line.

    `equal`: values of properties, by name. `key`: whether the address carried a key.
    """

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    boxes: tuple[Box, ...] = ()
    interval_us: tuple[int, int] | None = None
    crs: str = crs.CRS84
    filter: Filter | None = None
    equal: tuple[tuple[str, str], ...] = ()

    @property
    def chooses(self) -> tuple[object, ...]:
        """What decides which features there are; all None or empty for all of them."""
        return (self.boxes, self.interval_us, self.filter, self.equal)

    @property
    def is_all(self) -> bool:
        """Whether every feature is asked for."""
        return not any(self.chooses)


def parameters_of(query: bytes, known: frozenset[str]) -> dict[str, str]:
    """The parameters of an address. Raises BadInput for one that is unknown, twice, or unreadable.

    Whoever asks for a format gets it if it is JSON.
    """
    if len(query) > MAX_QUERY:
        raise BadInput(f"the parameters are longer than {MAX_QUERY:,} bytes")
    try:
        text = query.decode("ascii")
        unquote_to_bytes(text).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=64)
    except (UnicodeDecodeError, ValueError) as error:
        raise BadInput("the parameters are no UTF-8, or there are too many of them") from error
    found = dict(pairs)
    for name, value in pairs:
        if name not in known and name not in ANYWHERE and name != "f":
            there = ", ".join(sorted(known)) or "none"
            raise BadInput(f"no query parameter is called {name[:64]!r} here; there is {there}")
        if not (" ".join(value.split()) if name == "filter" else value).isprintable():
            raise BadInput(f"{name} holds a character that cannot be printed")
    if len(found) < len(pairs):
        raise BadInput("a query parameter is given more than once")
    if found.get("f", "json") not in FORMATS:
        raise BadInput(f"f is json or geojson, not {found['f'][:32]!r}")
    return found


def query_of(query: bytes, collection: Collection) -> Query:
    """The request for features that an address makes. Raises BadInput."""
    own = frozenset(p.name for p in collection.properties if p.queryable)
    found = parameters_of(query, ITEMS | own)
    if "bbox-crs" in found and "bbox" not in found:
        raise BadInput("bbox-crs is given without bbox")
    return Query(
        limit=_limit(found.get("limit", str(DEFAULT_LIMIT))),
        offset=_offset(found.get("offset", "0")),
        boxes=_boxes(found["bbox"], _crs(found, "bbox-crs")) if "bbox" in found else (),
        interval_us=interval_us(found["datetime"]) if "datetime" in found else None,
        crs=_crs(found, "crs"),
        filter=_filter(found),
        equal=tuple(sorted((n, v) for n, v in found.items() if n in own)),
    )


def crs_of(query: bytes) -> str:
    """The system that a request for one feature asks for. Raises BadInput."""
    return _crs(parameters_of(query, ITEM), "crs")


def interval_us(text: str) -> tuple[int, int]:
    """First and last instant of a `datetime`, both included [µs UTC]. Raises BadInput.

    An instant, or two with a slash between; `..` or nothing where it is open, on one side. A day
    is all of it.
    """
    sides = text.split("/")
    try:
        if len(sides) == 1:
            return _span(text)
        if len(sides) == 2:
            first, last = ("" if side == ".." else side for side in sides)
            if first or last:
                begin = _span(first)[0] if first else -EVER_US
                end = _span(last)[1] if last else EVER_US
                if begin > end:
                    raise BadInput("datetime ends before it begins")
                return begin, end
    except (ValueError, OverflowError):
        pass
    raise BadInput(
        "datetime is an RFC 3339 instant with an offset, a day, or two of them with a slash "
        "between; one may be left open as .."
    )


def value_of(kind: str, text: str, name: str) -> str | float | int | bool:
    """A value of a property as it stands in an address. Raises BadInput."""
    if kind == TEXT:
        return text
    if kind == TIME:
        first, last = interval_us(text)
        if first != last:
            raise BadInput(f"{name} is compared with an instant")
        return first
    if kind == BOOLEAN:
        if text in ("true", "false"):
            return text == "true"
        raise BadInput(f"{name} is true or false")
    if kind in (NUMBER, INTEGER) and _NUMBER.fullmatch(text):
        return float(text)
    raise BadInput(f"{name} is compared with a number")


def boxes_of(numbers: list[float], system: str) -> tuple[Box, ...]:
    """Four or six numbers as boxes in degrees; two where it crosses the date line.

    Raises BadInput.
    """
    if len(numbers) not in (4, 6):
        _refuse_box("has four or six numbers")
    if not np.isfinite(numbers).all():
        _refuse_box("has finite numbers")
    half = len(numbers) // 2
    if half == 3 and numbers[2] > numbers[5]:
        _refuse_box("has its lower height first")
    corners = [numbers[0], numbers[1], numbers[half], numbers[half + 1]]
    if system != crs.CRS84:
        low, high = (crs.to_crs84(shapely.Point(c), system) for c in (corners[:2], corners[2:]))
        corners = [low.x, low.y, high.x, high.y]
    west, south, east, north = corners
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        _refuse_box("has longitudes within ±180 degrees")
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        _refuse_box("has latitudes within ±90 degrees, in the order of its reference system")
    if south > north:
        _refuse_box("has its southern edge before its northern one")
    if west > east:
        return (west, south, 180.0, north), (-180.0, south, east, north)
    return ((west, south, east, north),)


def _refuse_box(rule: str) -> NoReturn:
    raise BadInput(f"a bbox {rule}")


def _boxes(text: str, system: str) -> tuple[Box, ...]:
    parts = text.split(",")
    if len(parts) > 6 or not all(_NUMBER.fullmatch(part.strip()) for part in parts):
        _refuse_box("has four or six numbers, separated by commas")
    return boxes_of([float(part) for part in parts], system)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,100}", text) or int(text) < 1:
        raise BadInput(
            f"limit is a whole number from 1 on; above {MAX_LIMIT:,} it is {MAX_LIMIT:,}"
        )
    return min(int(text), MAX_LIMIT)


def _offset(text: str) -> int:
    if not re.fullmatch(rf"[0-9]{{1,{MAX_OFFSET_DIGITS}}}", text):
        raise BadInput(f"offset is a whole number from 0 on, of {MAX_OFFSET_DIGITS} digits at most")
    return int(text)


def _crs(found: Mapping[str, str], name: str) -> str:
    system = found.get(name, crs.CRS84)
    if system not in crs.ALL:
        raise BadInput(f"{name} is one of {', '.join(crs.ALL)}")
    return system


def _filter(found: Mapping[str, str]) -> Filter | None:
    language = found.get("filter-lang", LANGUAGES[0])
    if language not in LANGUAGES:
        raise BadInput(f"filter-lang is one of {', '.join(LANGUAGES)}")
    if "filter" not in found:
        if "filter-lang" in found or "filter-crs" in found:
            raise BadInput("filter-lang and filter-crs are of use only with a filter")
        return None
    return Filter(found["filter"], language, _crs(found, "filter-crs"))


def _span(text: str) -> tuple[int, int]:
    """First and last instant that a text means."""
    if DAY.fullmatch(text):
        midnight = moment_us(f"{day_of(text).isoformat()}T00:00:00Z")
        return midnight, midnight + DAY_US - 1
    if not DAY.match(text):  # no Unix seconds here
        raise ValueError(text)
    instant = moment_us(text)
    return instant, instant
