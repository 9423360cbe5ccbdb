"""Columns in and out of the database in one statement, without a Python object per row.

SQLite takes rows by `executemany`. PostgreSQL takes each column as one array in the binary
format, built by numpy, and unnests them; it gives columns back as such arrays too. That is faster
than COPY into a staging table, which it replaces, and needs no table of its own.
"""
# ruff: noqa: S608  every name that stands in a statement here comes from app.tables

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    SmallInteger,
    Table,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.types import BigInteger

ABSENT = int(np.iinfo(np.int64).min)  # an instant that was not sent

Column = NDArray[Any] | Sequence[str | None]
Columns = Mapping[str, Column]

_ELEMENT_OID = {"i2": 21, "i4": 23, "i8": 20, "f8": 701, "text": 25}
_ARRAY_OID = {"i2": 1005, "i4": 1007, "i8": 1016, "f8": 1022, "text": 1009}
_HEADER = np.dtype(">i4")


def is_postgres(c: Connection) -> bool:
    """Whether the other side is PostgreSQL."""
    return c.dialect.name == "postgresql"


def length(columns: Columns) -> int:
    """How many rows the columns have."""
    return len(next(iter(columns.values())))


def insert(c: Connection, table: Table, columns: Columns) -> None:
    """Adds rows that are not there yet; NaN is null on SQLite and must not stand on PostgreSQL."""
    names = ", ".join(columns)
    if is_postgres(c):
        many(c, f"INSERT INTO {table.name} ({names}) SELECT * FROM {unnest(columns)}", columns)
    else:
        marks = ", ".join("?" * len(columns))
        many(c, f"INSERT INTO {table.name} ({names}) VALUES ({marks})", columns)


def delete(c: Connection, table: Table, keys: Columns) -> None:
    """Removes the rows whose key columns have one of these combinations of values."""
    if is_postgres(c):
        same = " AND ".join(f"t.{name} = s.{name}" for name in keys)
        many(c, f"DELETE FROM {table.name} AS t USING {unnest(keys)} WHERE {same}", keys)
    else:
        same = " AND ".join(f"{name} = ?" for name in keys)
        many(c, f"DELETE FROM {table.name} WHERE {same}", keys)


def many(c: Connection, statement: str, columns: Columns) -> Any:
    """Runs a statement over all rows and gives its cursor.

    On SQLite once per row, a `?` for each column in order; on PostgreSQL once for all, a `%s` for
    each column in order (see `unnest`). Nothing is run for no rows on SQLite.
    """
    cursor = driver(c).cursor()
    if is_postgres(c):
        for kind, dumper in _DUMPERS.items():
            cursor.adapters.register_dumper(kind, dumper)
        return cursor.execute(statement, [_array(v) for v in columns.values()], binary=True)
    return cursor.executemany(statement, rows(columns))


def together(c: Connection) -> AbstractContextManager[Any]:
    """Statements inside, none of which gives rows, go to PostgreSQL without waiting in between."""
    context: AbstractContextManager[Any] = driver(c).pipeline() if is_postgres(c) else nullcontext()
    return context


def rows(columns: Columns) -> Any:
    """The rows as tuples, one at a time."""
    lists = (c.tolist() if isinstance(c, np.ndarray) else c for c in columns.values())
    return zip(*lists, strict=True)


def unnest(columns: Columns) -> str:
    """The rows as a table `s` for PostgreSQL, with a parameter per column."""
    marks = ", ".join("%s" for _ in columns)
    return f"unnest({marks}) AS s({', '.join(columns)})"


def driver(c: Connection) -> Any:
    """The driver's own connection, inside the same transaction."""
    return c.connection.driver_connection


def read(c: Connection, query: Select[Any]) -> dict[str, NDArray[Any]]:
    """The columns of a query of numbers: int64, int16 for SmallInteger, float64 (null is NaN).

    Null among integers must be replaced by the query. Empty columns for no rows.
    """
    return _read_postgres(c, query) if is_postgres(c) else _read_sqlite(c, query)


def _read_sqlite(c: Connection, query: Select[Any]) -> dict[str, NDArray[Any]]:
    kinds = {column.name: _kind(column) for column in query.selected_columns}
    return fetch(driver(c).execute(*_compiled(c, query)), kinds)


def fetch(cursor: Any, kinds: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """All rows of a cursor of SQLite as columns of these numpy kinds; null is NaN among floats."""
    found = np.fromiter(cursor, dtype=[*kinds.items()])
    return {name: np.ascontiguousarray(found[name]) for name in kinds}


def _read_postgres(c: Connection, query: Select[Any]) -> dict[str, NDArray[Any]]:
    kinds = {column.name: _kind(column) for column in query.selected_columns}
    inner = query.subquery()
    nan: ColumnElement[float] = literal_column("'NaN'::float8")
    arrays = [
        func.array_agg(
            func.coalesce(column, nan)
            if kind == "f8"
            else cast(column, SmallInteger if kind == "i2" else BigInteger)
        )
        for column, kind in zip(inner.c, kinds.values(), strict=True)
    ]
    cursor = driver(c).cursor(binary=True)
    cursor.execute(*_compiled(c, select(*arrays)))
    return {name: array_of(cursor, i, kind) for i, (name, kind) in enumerate(kinds.items())}


def array_of(cursor: Any, i: int, kind: str) -> NDArray[Any]:
    """The i-th column of PostgreSQL's one row, an array without nulls; empty for a null."""
    binary = cursor.pgresult.get_value(0, i)
    if binary is None:  # array_agg of no rows
        return np.empty(0, dtype=kind)
    record = np.dtype([("length", _HEADER), ("value", ">" + kind)])
    return np.frombuffer(binary, dtype=record, offset=5 * _HEADER.itemsize)["value"].astype(kind)


def _kind(column: Any) -> str:
    if isinstance(column.type, Float):
        return "f8"
    return "i2" if isinstance(column.type, SmallInteger) else "i8"


def _compiled(c: Connection, query: Any) -> tuple[str, Any]:
    """The statement and its parameters, as the driver takes them."""
    compiled = query.compile(dialect=c.dialect, compile_kwargs={"render_postcompile": True})
    if compiled.positiontup is None:
        return str(compiled), compiled.params
    return str(compiled), [compiled.params[name] for name in compiled.positiontup]


class _Array:
    """A PostgreSQL array in the binary format."""

    def __init__(self, binary: bytes) -> None:
        self.binary = binary


class _ArrayDumper(Dumper):
    """Hands the bytes through; psycopg takes the type from the class."""

    format = Format.BINARY

    def dump(self, obj: _Array) -> bytes:
        return obj.binary


_ARRAYS: dict[str, type[_Array]] = {
    kind: type(f"_Array_{kind}", (_Array,), {}) for kind in _ARRAY_OID
}
_DUMPERS: dict[type[_Array], type[Dumper]] = {
    _ARRAYS[kind]: type(f"_Dumper_{kind}", (_ArrayDumper,), {"oid": oid})
    for kind, oid in _ARRAY_OID.items()
}


def _array(column: Column) -> _Array:
    """The column as an array of its own kind; unsigned cells become the signed ones stored."""
    if not isinstance(column, np.ndarray) or column.dtype == object:
        return _text_array(column)
    kind = "i8" if column.dtype.kind == "u" else column.dtype.str[1:]
    if kind == "i1":
        kind = "i2"
    packed = np.empty(len(column), dtype=[("length", _HEADER), ("value", ">" + kind)])
    packed["length"] = int(kind[1])
    packed["value"] = column
    return _ARRAYS[kind](_head(kind, len(column)) + packed.tobytes())


def _text_array(column: Column) -> _Array:
    """Each text as its length in bytes (-1 for null) and its bytes, laid out in one go."""
    texts = pa.array(column, type=pa.string())
    validity, offsets_buffer, data_buffer = texts.buffers()
    del validity
    n = len(texts)
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32, count=n + 1).astype(np.int64)
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)[: offsets[-1]]
    sizes = np.diff(offsets)
    out = np.zeros(4 * n + len(data), dtype=np.uint8)
    starts = offsets[:-1] + 4 * np.arange(n)
    is_length = np.zeros(len(out), dtype=np.bool_)
    is_length[(starts[:, None] + np.arange(4)).ravel()] = True
    shown = np.where(texts.is_valid().to_numpy(zero_copy_only=False), sizes, -1)
    out[is_length] = shown.astype(_HEADER).view(np.uint8)
    out[~is_length] = data
    return _ARRAYS["text"](_head("text", n, has_null=texts.null_count > 0) + out.tobytes())


def _head(kind: str, n: int, *, has_null: bool = False) -> bytes:
    """Dimensions, whether there are nulls, type of an element, length, first index."""
    if n == 0:
        return np.array([0, 0, _ELEMENT_OID[kind]], dtype=_HEADER).tobytes()
    return np.array([1, has_null, _ELEMENT_OID[kind], n, 1], dtype=_HEADER).tobytes()


def points_wkb(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.void]:
    """Points as WKB, 21 bytes each."""
    packed = np.empty(
        len(lon), dtype=[("order", "u1"), ("kind", "<u4"), ("lon", "<f8"), ("lat", "<f8")]
    )
    packed["order"], packed["kind"], packed["lon"], packed["lat"] = 1, 1, lon, lat
    return packed.view("V21")
