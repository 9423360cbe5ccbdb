"""Conditions of time: `datetime`, and the relations of CQL2 between instants and intervals."""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import BigInteger, ColumnElement, and_, literal, not_, or_

from app.errors import BadInput
from app.ogc.collections import TIME
from app.ogc.operands import Operands, instant_us
from app.ogc.query import EVER_US
from app.store.sources import Source

Condition = ColumnElement[bool]


class Span(NamedTuple):
    """From an instant to an instant, each a column or a bound value [µs UTC]."""

    first: Any
    last: Any


Relation = Callable[[Span, Span], Condition]

# Source: J. F. Allen (1983), doi:10.1145/182.358434, by the names of CQL2.
_RELATIONS: dict[str, Relation] = {
    "t_after": lambda a, b: a.first > b.last,
    "t_before": lambda a, b: a.last < b.first,
    "t_disjoint": lambda a, b: or_(a.first > b.last, a.last < b.first),
    "t_intersects": lambda a, b: and_(a.first <= b.last, a.last >= b.first),
    "t_equals": lambda a, b: and_(a.first == b.first, a.last == b.last),
    "t_contains": lambda a, b: and_(a.first < b.first, a.last > b.last),
    "t_during": lambda a, b: and_(a.first > b.first, a.last < b.last),
    "t_finishedby": lambda a, b: and_(a.first < b.first, a.last == b.last),
    "t_finishes": lambda a, b: and_(a.first > b.first, a.last == b.last),
    "t_meets": lambda a, b: a.last == b.first,
    "t_metby": lambda a, b: a.first == b.last,
    "t_overlappedby": lambda a, b: and_(a.first > b.first, a.first < b.last, a.last > b.last),
    "t_overlaps": lambda a, b: and_(a.first < b.first, a.last > b.first, a.last < b.last),
    "t_startedby": lambda a, b: and_(a.first == b.first, a.last > b.last),
    "t_starts": lambda a, b: and_(a.first == b.first, a.last < b.last),
}


def during(interval_us: tuple[int, int], source: Source) -> Condition:
    """Rows that hold at some instant of an interval, and those that have no time."""
    if source.first_us is None or source.last_us is None:
        return not_(source.keys[0].is_(None))
    first, last = interval_us
    ends = source.last_us > first if source.ends_before else source.last_us >= first
    return or_(source.first_us.is_(None), and_(source.first_us <= last, ends))


def related(name: str, args: list[Any], operands: Operands) -> Condition:
    """A relation in time, as CQL2 has it. Raises BadInput."""
    if name not in _RELATIONS or len(args) != 2:
        _refuse(f"there is no {name[:40]!r} with {len(args)} arguments")
    if not any(_has_property(each) for each in args):
        _refuse(f"{name} has a property on one side")
    return _RELATIONS[name](_span(args[0], operands), _span(args[1], operands))


def _span(node: Any, operands: Operands) -> Span:
    sides = node.get("interval") if isinstance(node, dict) else None
    if sides is None:
        instant = _instant(node, operands)
        return Span(instant, instant)
    if not isinstance(sides, list) or len(sides) != 2:
        _refuse("an interval has two instants")
    first, last = sides
    return Span(
        _value(-EVER_US) if first == ".." else _instant(first, operands),
        _value(EVER_US) if last == ".." else _instant(last, operands),
    )


def _instant(node: Any, operands: Operands) -> ColumnElement[Any]:
    if isinstance(node, dict) and "property" in node:
        known = operands.known(node)
        if known.kind != TIME:
            _refuse(f"{known.name} is no time")
        return operands.column(known)
    return _value(instant_us(node))


def _value(instant: int) -> ColumnElement[Any]:
    return literal(instant, BigInteger)


def _has_property(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    sides = node.get("interval")
    return "property" in node or (isinstance(sides, list) and any(map(_has_property, sides)))


def _refuse(reason: str) -> NoReturn:
    raise BadInput(f"the filter cannot be used: {reason}")
