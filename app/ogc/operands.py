"""What is compared in a filter: columns of known properties, and values bound to their kind."""

import math
from typing import Any, NoReturn

from sqlalchemy import BigInteger, Boolean, ColumnElement, Float, Text, cast, func, literal

from app.errors import BadInput
from app.geo.grid import from_text
from app.moments import day_of, moment_us
from app.ogc.collections import BOOLEAN, INTEGER, NUMBER, TEXT, TIME, Collection, Property
from app.store.sources import Source

GEOMETRY = "geometry"
_TYPES: dict[str, Any] = {
    TEXT: Text,
    NUMBER: Float,
    INTEGER: Float,
    BOOLEAN: Boolean,
    TIME: BigInteger,
}


class Operands:
    """Columns and values of one collection on one database."""

    def __init__(self, collection: Collection, source: Source, sqlite: bool) -> None:
        self.collection = collection
        self.source = source
        self.sqlite = sqlite

    def known(self, node: Any) -> Property:
        """The property that a node names. Raises BadInput for any other node."""
        name = node.get("property") if isinstance(node, dict) else None
        found = self.collection.property(name) if isinstance(name, str) else None
        if found is None or not found.queryable:
            there = ", ".join(p.name for p in self.collection.properties if p.queryable)
            _refuse(f"{str(name)[:64]!r} is no property; there is {there}")
        return found

    def column(self, known: Property) -> ColumnElement[Any]:
        """The column of a property."""
        return self.source.columns[known.name]

    def any_column(self, node: Any) -> ColumnElement[Any]:
        """The column that a node names, the geometry's too."""
        if self.is_geometry(node):
            return self.source.geometry
        return self.column(self.known(node))

    def is_geometry(self, node: Any) -> bool:
        """Whether a node names the geometry."""
        return isinstance(node, dict) and node.get("property") == GEOMETRY

    def pair(self, left: Any, right: Any) -> tuple[tuple[Any, Any], str]:
        """Both sides of a comparison, and their kind. Raises BadInput unless one is a property."""
        bare = [unfolded(side) for side in (left, right)]
        folds = left is not bare[0] or right is not bare[1]
        named = [self.known(side) for side in bare if isinstance(side, dict) and "property" in side]
        if not named:
            _refuse("a comparison has a property on one side")
        kind = named[0].kind
        if any(_sort(each) != _sort(named[0]) for each in named):
            _refuse(f"{named[0].name} and {named[1].name} are of different kinds")
        if folds and kind != TEXT:
            _refuse("casei is for texts")
        sides = [self._side(side, named[0]) for side in bare]
        if folds:
            sides = [self._lower(side) for side in sides]
        return (sides[0], sides[1]), kind

    def bound(self, known: Property, value: Any) -> ColumnElement[Any]:
        """A value as a bound parameter, if it is of the property's kind. Raises BadInput."""
        if known.kind == TIME and not isinstance(value, int):
            value = instant_us(value)
        if known.name == "cell" and isinstance(value, str):
            return literal(_cell(value), BigInteger)
        fits = {
            TEXT: isinstance(value, str),
            BOOLEAN: isinstance(value, bool),
            NUMBER: _is_number(value),
            INTEGER: _is_number(value),
            TIME: True,
        }
        if not fits[known.kind]:
            _refuse(f"{known.name} is of the kind {known.kind}, and compared with something else")
        return literal(value, _TYPES[known.kind])

    def like(self, column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
        """Whether a text has a pattern, with `%` for any text and `_` for any character."""
        if not self.sqlite:
            return column.like(literal(pattern, Text), escape="\\")
        # LIKE takes no notice of case on SQLite, GLOB does.
        return column.op("GLOB", is_comparison=True)(literal(_glob(pattern), Text))

    def _side(self, side: Any, known: Property) -> ColumnElement[Any]:
        if isinstance(side, dict) and "property" in side:
            return self.column(self.known(side))
        return self.bound(known, side)

    def _lower(self, side: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lower_case(side) if self.sqlite else func.lower(cast(side, Text))


def instant_us(node: Any) -> int:
    """The instant that a node holds; a day is its midnight in UTC. Raises BadInput."""
    if isinstance(node, dict):
        node = node.get("timestamp", node.get("date"))
    try:
        if not isinstance(node, str) or not node[:4].isdecimal():
            raise ValueError(node)
        if len(node) == 10:
            return moment_us(f"{day_of(node).isoformat()}T00:00:00Z")
        return moment_us(node)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            "the filter cannot be used: a time is written as "
            "TIMESTAMP('2026-11-20T07:00:00Z') or DATE('2026-11-20')"
        ) from error


def unfolded(node: Any) -> Any:
    """What stands inside casei, or the node itself."""
    if isinstance(node, dict) and str(node.get("op", "")).lower() == "casei":
        args = node.get("args")
        if isinstance(args, list) and len(args) == 1:
            return args[0]
    return node


def _sort(known: Property) -> str:
    if known.name == "cell":
        return "cell"
    return NUMBER if known.kind == INTEGER else known.kind


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _cell(text: str) -> int:
    """The cell of a text; of what is none, a number that no cell has."""
    try:
        return int(from_text([text]).astype("int64")[0])
    except ValueError:
        return -1


def _glob(pattern: str) -> str:
    out, escaped = [], False
    for sign in pattern:
        if escaped or sign not in "%_\\":
            out.append(f"[{sign}]" if sign in "*?[" else sign)
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            out.append("*" if sign == "%" else "?")
    return "".join(out)


def _refuse(reason: str) -> NoReturn:
    raise BadInput(f"the filter cannot be used: {reason}")
