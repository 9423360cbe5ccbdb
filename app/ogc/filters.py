"""CQL2 filters as conditions: only known properties, only bound values.

The parser, a library of its own, ends the whole process on deep nesting and takes minutes over some
short texts, so brackets, signs and length are counted before it sees anything.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import cql2
from sqlalchemy import ColumnElement, and_, false, not_, or_, true

from app.errors import BadInput
from app.ogc import relations, temporal
from app.ogc.collections import BOOLEAN, TEXT, Collection, Property
from app.ogc.operands import Operands, unfolded
from app.ogc.query import Filter, Query, value_of
from app.store.sources import Source

MAX_LENGTH = 8192  # characters
MAX_DEPTH = 12  # of brackets; a syntax error inside costs twice as much with each
MAX_NEGATIONS = 64
MAX_NODES = 500
MAX_WILDCARDS = 8

Condition = ColumnElement[bool]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_QUOTED = {
    "cql2-text": re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\""),
    "cql2-json": re.compile(r'"(?:[^"\\]|\\.)*"'),
}
_SIGNS = re.compile(r"[-+](\s*[-+]){3,}")


def condition_of(query: Query, collection: Collection, source: Source, sqlite: bool) -> Condition:
    """Which rows of the source a request chooses. Raises BadInput."""
    parts: list[Condition] = []
    if query.boxes:
        parts.append(relations.in_boxes(query.boxes, source, sqlite))
    if query.interval_us is not None:
        parts.append(temporal.during(query.interval_us, source))
    for name, text in query.equal:
        known = collection.property(name)
        assert known is not None  # noqa: S101  only names of properties come this far
        operands = Operands(collection, source, sqlite)
        value = value_of(known.kind, text, name)
        parts.append(operands.column(known) == operands.bound(known, value))
    if query.filter is not None:
        parts.append(filter_of(query.filter, collection, source, sqlite))
    return and_(true(), *parts)


def filter_of(written: Filter, collection: Collection, source: Source, sqlite: bool) -> Condition:
    """The condition that a filter states. Raises BadInput."""
    operands = Operands(collection, source, sqlite)
    return _Translation(operands, written.crs).condition(parsed(written))


def parsed(written: Filter) -> Any:
    """A filter as nested objects of CQL2 JSON. Raises BadInput for what is too long or too deep."""
    _guard(written)
    parse = cql2.parse_text if written.language == "cql2-text" else cql2.parse_json
    try:
        return parse(written.text).to_json()
    except Exception as error:
        lines = [line.strip(" |") for line in str(error).splitlines()]
        said = next((line for line in reversed(lines) if line), "")
        raise BadInput(f"the filter is no {written.language}: {said[:200]}") from error


def _guard(written: Filter) -> None:
    text = written.text
    if len(text) > MAX_LENGTH:
        raise BadInput(f"a filter has at most {MAX_LENGTH:,} characters")
    bare = _QUOTED[written.language].sub("", text)
    if _SIGNS.search(bare):
        raise BadInput("a filter has at most three signs before a number")
    if len(re.findall(r"\bnot\b", bare, re.IGNORECASE)) > MAX_NEGATIONS:
        raise BadInput(f"a filter has at most {MAX_NEGATIONS} negations")
    if deepest(bare) > MAX_DEPTH:
        raise BadInput(f"a filter has at most {MAX_DEPTH} brackets inside each other")


def deepest(text: str) -> int:
    """How deep brackets stand inside each other. Raises BadInput where they do not match."""
    closes = {"(": ")", "[": "]", "{": "}"}
    awaited: list[str] = []
    most = 0
    for sign in re.findall(r"[()\[\]{}]", text):
        if sign in closes:
            awaited.append(closes[sign])
            most = max(most, len(awaited))
        elif not awaited or awaited.pop() != sign:
            raise BadInput(f"the filter has a {sign} that nothing opens")
    if awaited:
        raise BadInput(f"the filter lacks a {awaited[-1]}")
    return most


class _Translation:
    """A filter's objects turned into a condition, with a count of them."""

    def __init__(self, operands: Operands, system: str) -> None:
        self._operands = operands
        self._system = system
        self._nodes = 0

    def condition(self, node: Any) -> Condition:
        """What a part of the filter states."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BadInput(f"a filter has at most {MAX_NODES} comparisons")
        if isinstance(node, bool):
            return true() if node else false()
        if isinstance(node, dict) and "property" in node:
            return self._flag(node)
        if not isinstance(node, dict) or not isinstance(node.get("args"), list):
            _refuse("it states nothing that is true or false")
        name, args = str(node.get("op", "")), node["args"]
        lower = name.lower()
        if lower in ("and", "or") and args:
            parts = [self.condition(each) for each in args]
            return and_(*parts) if lower == "and" else or_(*parts)
        if lower == "not" and len(args) == 1:
            return not_(self.condition(args[0]))
        if lower.startswith("s_"):
            return relations.related(lower, args, self._operands, self._system)
        if lower.startswith("t_"):
            return temporal.related(lower, args, self._operands)
        return self._predicate(name, args)

    def _predicate(self, name: str, args: list[Any]) -> Condition:
        if name in _COMPARE and len(args) == 2:
            return self._compared(name, *args)
        if name == "isNull" and len(args) == 1:
            return self._operands.any_column(args[0]).is_(None)
        if name == "like" and len(args) == 2:
            return self._like(*args)
        if name == "between" and len(args) == 3:
            low, high = self._compared(">=", *args[:2]), self._compared("<=", args[0], args[2])
            return and_(low, high)
        if name == "in" and len(args) == 2 and isinstance(args[1], list):
            return or_(false(), *(self._compared("=", args[0], each) for each in args[1]))
        return _refuse(f"there is no {name[:40]!r} with {len(args)} arguments")

    def _compared(self, name: str, left: Any, right: Any) -> Condition:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BadInput(f"a filter has at most {MAX_NODES} comparisons")
        (a, b), kind = self._operands.pair(left, right)
        if kind == BOOLEAN and name not in ("=", "<>"):
            _refuse("what is true or false is only compared by = and <>")
        found: Condition = _COMPARE[name](a, b)
        return found

    def _like(self, left: Any, right: Any) -> Condition:
        (column, _), kind = self._operands.pair(left, right)
        pattern = unfolded(right)
        folds = pattern is not right or unfolded(left) is not left
        if kind != TEXT or not isinstance(pattern, str) or isinstance(left, str):
            _refuse("like compares a text with a pattern")
        if sum(map(pattern.count, "%_")) > MAX_WILDCARDS:
            _refuse(f"a pattern has at most {MAX_WILDCARDS} wildcards")
        return self._operands.like(column, pattern.lower() if folds else pattern)

    def _flag(self, node: Any) -> Condition:
        known: Property = self._operands.known(node)
        if known.kind != BOOLEAN:
            _refuse(f"{known.name} is not true or false")
        flag: Condition = self._operands.column(known) == true()
        return flag


def _refuse(reason: str) -> NoReturn:
    raise BadInput(f"the filter cannot be used: {reason}")
