"""Items of a body turned into columns; what cannot be turned is explained, item by item."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app import checks
from app.checks import Flaw
from app.errors import BadInput
from app.facts import Floats, IncidentColumns, Ints, PingColumns, code_of, coded
from app.geo.fixes import STATUS
from app.geo.risk import SOURCES
from app.instants import rfc3339_us, unix_us
from app.intake.body import array_of, bounded, lines_of

Instant = int | float | str
Rule = Callable[[Any], str | None]  # why a value is malformed, None where it is not


class PingItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A ping as it is sent; null stands for an optional field that is not."""

    unit_id: str
    time: Instant
    lat: float
    lon: float
    speed_mps: float | None = None
    heading_deg: float | None = None
    accuracy_m: float | None = None
    status: Literal["unknown", "available", "enroute", "on_scene", "busy", "off_duty"] | None = None


class IncidentItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An incident as it is sent; null stands for an optional field that is not."""

    incident_id: str
    occurred_from: Instant
    lat: float
    lon: float
    category: str
    occurred_to: Instant | None = None
    reported_at: Instant | None = None
    source: Literal["unknown", "public", "officer", "alarm"] | None = None
    municipality: str | None = None
    final_category: str | None = None


T = TypeVar("T", PingItem, IncidentItem)


class Kind(NamedTuple, Generic[T]):
    """How items of one kind are decoded, and the rule of each of their fields."""

    item: type[T]
    required: frozenset[str]
    rules: Mapping[str, Rule]
    one: msgspec.json.Decoder[T]
    many: msgspec.json.Decoder[list[T]]


@dataclass(frozen=True)
class Decoded(Generic[T]):
    """The items that have the right form, where they stood, and why the others have not."""

    received: int
    items: list[T]
    index: Ints
    broken: list[tuple[int, Flaw]]


def decoded(kind: Kind[T], body: bytes, lines: bool) -> Decoded[T]:
    """The items of a body.

    Decodes the whole body at once; only where that fails, item by item, so that a broken item
    takes no other with it. Raises BadInput where the body as a whole cannot be read.
    """
    if lines:
        return _each(kind, lines_of(body), lines=True)
    if body.startswith(b"{"):
        return _each(kind, [body], lines=False)
    if not body.startswith(b"["):
        raise BadInput("the body must be a JSON array, one JSON object, or NDJSON sent as such")
    try:
        items = kind.many.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _each(kind, array_of(body), lines=False)
    bounded(len(items))
    return _whole(items)


def ping_columns(items: Sequence[PingItem]) -> PingColumns:
    """Decoded pings as columns, in their order."""
    return PingColumns(
        unit_id=coded(_values(items, "unit_id")),
        time_us=_instants(_values(items, "time")),
        lat=_numbers(items, "lat"),
        lon=_numbers(items, "lon"),
        speed_mps=_numbers(items, "speed_mps"),
        heading_deg=_numbers(items, "heading_deg"),
        accuracy_m=_numbers(items, "accuracy_m"),
        status=_codes(items, "status", _STATUS_CODE),
    )


def incident_columns(items: Sequence[IncidentItem]) -> IncidentColumns:
    """Decoded incidents as columns, in their order."""
    names = np.empty(len(items), dtype=np.object_)
    names[:] = _values(items, "incident_id")
    return IncidentColumns(
        incident_id=names,
        occurred_from_us=_instants(_values(items, "occurred_from")),
        occurred_to_us=_instants(_values(items, "occurred_to")),
        reported_at_us=_instants(_values(items, "reported_at")),
        lat=_numbers(items, "lat"),
        lon=_numbers(items, "lon"),
        category=coded(_values(items, "category")),
        final_category=coded(_values(items, "final_category")),
        source=_codes(items, "source", _SOURCE_CODE),
        municipality=coded(_values(items, "municipality")),
    )


def _values(items: Sequence[Any], name: str) -> list[Any]:
    return list(map(attrgetter(name), items))


def _numbers(items: Sequence[Any], name: str) -> Floats:
    """A column of numbers, NaN for None; adding 0 makes a zero of minus zero."""
    return np.array(_values(items, name), dtype=np.float64) + 0.0


def _codes(items: Sequence[Any], name: str, code: Mapping[str | None, int]) -> NDArray[np.int8]:
    return np.fromiter(map(code.__getitem__, _values(items, name)), np.int8, len(items))


def _instants(values: list[Instant | None]) -> Ints:
    """Each value as an instant: texts by RFC 3339, numbers as Unix seconds."""
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        return unix_us(_seconds(values))
    texts = [v if isinstance(v, str) else None for v in values]
    result = rfc3339_us(pa.array(texts, pa.string()))
    if kinds & {int, float}:
        numbers = [k for k, v in enumerate(values) if isinstance(v, int | float)]
        result[numbers] = unix_us(_seconds([values[k] for k in numbers]))
    return result


def _seconds(numbers: list[Any]) -> Floats:
    """Numbers as floats; an integer beyond all floats is infinite."""
    try:
        return np.array(numbers, dtype=np.float64)
    except OverflowError:
        return np.array([v if abs(v) < _HUGE else math.inf for v in numbers], dtype=np.float64)


def _whole(items: list[T]) -> Decoded[T]:
    return Decoded(len(items), items, np.arange(len(items)), [])


def _each(kind: Kind[T], texts: list[bytes], lines: bool) -> Decoded[T]:
    """Items decoded one by one."""
    try:
        return _whole(list(map(kind.one.decode, texts)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    items: list[T] = []
    index: list[int] = []
    broken: list[tuple[int, Flaw]] = []
    for k, text in enumerate(texts):
        found = _item(kind, text, k, lines)
        if isinstance(found, Flaw):
            broken.append((k, found))
        else:
            items.append(found)
            index.append(k)
    return Decoded(len(texts), items, np.array(index, dtype=np.int64), broken)


def _item(kind: Kind[T], text: bytes, index: int, lines: bool) -> T | Flaw:
    """One item, or its first flaw in the order of the codes."""
    try:
        return kind.one.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = _LENIENT.decode(text.decode())
    except ValueError as error:
        if lines:
            return Flaw(checks.MALFORMED, None, "the line is not JSON in UTF-8")
        raise BadInput(f"the body is not JSON in UTF-8: see item {index}") from error
    except RecursionError:
        return Flaw(checks.MALFORMED, None, "the item is nested too deeply")
    if not isinstance(value, dict):
        return Flaw(checks.MALFORMED, None, "an item must be a JSON object")
    return _flaw(kind, value) or msgspec.convert(value, kind.item)


def _flaw(kind: Kind[Any], members: dict[str, Any]) -> Flaw | None:
    for name, rule in kind.rules.items():
        wrong = rule(members[name]) if name in members else None
        if wrong:
            return Flaw(checks.MALFORMED, name, f"{name} {wrong}")
    for name in kind.item.__struct_fields__:
        if name not in members and name in kind.required:
            return Flaw(checks.MISSING_FIELD, name, f"{name} is missing")
    unknown = next((name for name in members if name not in kind.rules), None)
    if unknown is None:
        return None
    shown = unknown.encode("utf-8", "replace").decode()[:64].replace("\0", "")
    return Flaw(checks.UNKNOWN_FIELD, shown, f"there is no field {shown!r}")


class _NotANumber:
    """What NaN and Infinity are read as: nothing that any rule takes."""


def _integer(text: str) -> int | float:
    # More digits than any field takes; an int of them would take quadratic time.
    return int(text) if len(text) <= 30 else float(text)


_LENIENT = json.JSONDecoder(parse_int=_integer, parse_constant=lambda _: _NotANumber())


def _number(least: float, most: float, rule: str) -> Rule:
    def why(value: Any) -> str | None:
        fit = isinstance(value, int | float) and not isinstance(value, bool)
        return None if fit and least <= value <= most else rule

    return why


def _text(fits: Callable[[str], bool], rule: str) -> Rule:
    return lambda value: None if isinstance(value, str) and fits(value) else rule


def _instant(value: Any) -> str | None:
    fit = isinstance(value, int | float | str) and not isinstance(value, bool)
    if isinstance(value, str):  # half a surrogate pair is no character
        fit = not any("\ud800" <= character <= "\udfff" for character in value)
    return None if fit else "must be a text in RFC 3339, or a number of Unix seconds"


def _or_null(rule: Rule) -> Rule:
    return lambda value: None if value is None else rule(value)


def _kind(item: type[T], rules: Mapping[str, Rule]) -> Kind[T]:
    required = frozenset(f.name for f in msgspec.structs.fields(item) if f.required)
    return Kind(
        item=item,
        required=required,
        rules={k: rule if k in required else _or_null(rule) for k, rule in rules.items()},
        one=msgspec.json.Decoder(item),
        many=msgspec.json.Decoder(list[item]),  # type: ignore[valid-type]  # a variable
    )


_FINITE = 1.7976931348623157e308
_HUGE = 10**300
_PLACE = _number(-math.inf, math.inf, "must be a number")  # its range has a code of its own
_TEXT = _text(checks.is_text, checks.TEXT_RULE)
_STATUS_CODE = code_of(STATUS)
_SOURCE_CODE = code_of(SOURCES)

PINGS = _kind(
    PingItem,
    {
        "unit_id": _text(checks.is_unit_id, checks.UNIT_ID_RULE),
        "time": _instant,
        "lat": _PLACE,
        "lon": _PLACE,
        "speed_mps": _number(0, _FINITE, checks.NON_NEGATIVE),
        "heading_deg": _number(0, 360, checks.HEADING_RULE),
        "accuracy_m": _number(0, _FINITE, checks.NON_NEGATIVE),
        "status": _text(STATUS.__contains__, checks.one_of(STATUS)),
    },
)
INCIDENTS = _kind(
    IncidentItem,
    {
        "incident_id": _text(checks.is_incident_id, checks.INCIDENT_ID_RULE),
        "category": _TEXT,
        "final_category": _TEXT,
        "source": _text(SOURCES.__contains__, checks.one_of(SOURCES)),
        "municipality": _TEXT,
        "occurred_from": _instant,
        "occurred_to": _instant,
        "reported_at": _instant,
        "lat": _PLACE,
        "lon": _PLACE,
    },
)
