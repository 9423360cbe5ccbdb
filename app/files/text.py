"""Rows of text files: CSV by Arrow, NDJSON by msgspec; gzip in either."""

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from app.checks import MALFORMED, UNKNOWN_FIELD, Flaw
from app.errors import BadInput
from app.facts import Ints
from app.files.rows import Rows
from app.profile import (
    ALL_OTHERS,
    FIELDS,
    INSTANTS,
    MOMENT,
    TEXTS,
    Kind,
    Layout,
    Profile,
    layout_of,
)

BLOCK_BYTES = 16 * 1024 * 1024  # also the longest line of a CSV file
_NOT_A_ROW = Flaw(MALFORMED, None, "the row has not as many fields as the header")
_NOT_UTF8 = Flaw(MALFORMED, None, "the row is not in the encoding of the file")
_NOT_JSON = Flaw(MALFORMED, None, "the line is no JSON object in UTF-8")
_UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)
_AT = re.compile(r"`\$\.([^`.\[]*)")


def csv_rows(path: Path, profile: Profile, kind: Kind) -> tuple[Layout, Iterator[Rows]]:
    """How a CSV file is read, and its rows; a blank field is null, every other one a text.

    Rows with more or fewer fields than the header are broken and take no other with them.
    """
    header, follows = _header(path, profile)
    layout = layout_of(profile, kind, header)
    return layout, _csv(path, profile, layout, header) if follows else iter(())


def line_rows(
    path: Path, profile: Profile, kind: Kind, batch_rows: int
) -> tuple[Layout, Iterator[Rows]]:
    """How an NDJSON file is read, and its rows; blank lines are none.

    Members that a line leaves out are null; one that the profile does not know breaks its line.
    """
    parts = profile.parts.columns() if profile.parts else ()
    moment = MOMENT[kind] if parts and MOMENT[kind] not in profile.columns else None
    names = [profile.columns.get(name, name) for name in FIELDS[kind] if name != moment]
    also = profile.derived_id.also if profile.derived_id else ()
    ignored = [name for name in profile.ignore if name != ALL_OTHERS]
    layout = layout_of(profile, kind, dict.fromkeys([*names, *parts, *also, *ignored]))
    return layout, _lines(path, layout, batch_rows)


def _header(path: Path, profile: Profile) -> tuple[list[str], bool]:
    """The names of the columns, and whether any row follows."""
    # Leniently: what is wrong with the rows that follow is theirs to answer for.
    encoding = "utf-8-sig" if profile.encoding == "utf-8" else profile.encoding
    with path.open("rb") as raw, _inflated(path, raw) as file:
        text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
        try:
            lines = csv.reader(text, delimiter=profile.delimiter)
            header = next(lines, [])
            follows = any(lines)
        except csv.Error as error:
            raise BadInput(f"the beginning of {path.name} cannot be read: {error}") from error
    if not header:
        raise BadInput(f"{path.name} is empty: its first line must name the columns")
    return header, follows


def _csv(path: Path, profile: Profile, layout: Layout, header: list[str]) -> Iterator[Rows]:
    broken: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        broken.append(row.number - 2)  # counted from 1, the header included
        return "skip"

    with pa.OSFile(str(path)) as file:
        reader = pa_csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if path.suffix == ".gz" else file,
            # One thread, so that rows have numbers. Bytes, so that one row that is not in the
            # file's encoding does not stop the others.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, encoding=profile.encoding
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=profile.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.binary()),
                include_columns=list(layout.needed),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        total, start = path.stat().st_size, 0
        for batch in reader:
            index = _numbers(len(batch), start, broken)
            start = int(index[-1]) + 1 if len(index) else start
            yield _texts(batch, index, [row for row in broken if row < start], file.tell(), total)
            broken = [row for row in broken if row >= start]
    if broken:
        nothing = pa.record_batch([pa.array([], pa.string())] * len(layout.needed), layout.needed)
        yield _texts(nothing, np.arange(0), broken, total, total)


def _numbers(count: int, start: int, broken: list[int]) -> Ints:
    """The next `count` numbers from `start` on that are none of `broken`."""
    numbers = np.arange(start, start + count + len(broken))
    result: Ints = np.setdiff1d(numbers, broken, assume_unique=True)[:count]
    return result


def _texts(batch: pa.RecordBatch, index: Ints, broken: list[int], done: int, total: int) -> Rows:
    """Rows of bytes as rows of texts; those that are no UTF-8 count as broken."""
    flaws = [(row, _NOT_A_ROW) for row in broken]
    try:
        columns = [pc.cast(column, pa.string()) for column in batch.columns]
    except pa.ArrowInvalid:
        values = batch.to_pylist()
        fit = np.array([_is_utf8(row.values()) for row in values])
        flaws += [(row, _NOT_UTF8) for row in index[~fit].tolist()]
        batch, index = batch.filter(pa.array(fit)), index[fit]
        columns = [pc.cast(column, pa.string()) for column in batch.columns]
    return Rows(
        columns=dict(zip(batch.schema.names, columns, strict=True)),
        index=index,
        broken=tuple(sorted(flaws)),
        quoted=False,
        done=done,
        total=total,
    )


def _is_utf8(values: Iterable[bytes | None]) -> bool:
    try:
        b"".join(value or b"" for value in values).decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(path: Path, layout: Layout, batch_rows: int) -> Iterator[Rows]:
    row = _row_type(layout)
    decode = msgspec.json.Decoder(row).decode
    names = {field.encode_name: field.name for field in msgspec.structs.fields(row)}
    total, start = path.stat().st_size, 0
    with path.open("rb") as raw, _inflated(path, raw) as file:
        while lines := list(islice(_nonblank(file), batch_rows)):
            index: list[int] = []
            items: list[Any] = []
            broken: list[tuple[int, Flaw]] = []
            for k, line in enumerate(lines, start):
                try:
                    items.append(decode(line))
                    index.append(k)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    broken.append((k, _flaw(error)))
            start += len(lines)
            whole = np.array(index, dtype=np.int64)
            for some in _alike(items, [names[name] for name in _instants(layout)]):
                columns = {
                    name: _array(_values(items, some, names[name])) for name in layout.needed
                }
                yield Rows(columns, whole[some], tuple(broken), done=raw.tell(), total=total)
                broken = []


def _row_type(layout: Layout) -> type[msgspec.Struct]:
    """A struct of what a line may hold, by the names that the profile gives."""
    kinds: dict[str, Any] = dict.fromkeys(layout.profile.ignore, msgspec.Raw)
    kinds |= dict.fromkeys(layout.needed, str | int | float | None)
    for ours, theirs in layout.source.items():
        if ours in TEXTS or ours.endswith("_id"):
            kinds[theirs] = str | int | None
        elif theirs not in _instants(layout):
            kinds[theirs] = float | None
    if layout.parts:
        kinds |= dict.fromkeys(layout.parts.columns(), float | None)
    fields = [
        (f"f{k}", kind, msgspec.field(name=name, default=b"" if kind is msgspec.Raw else None))
        for k, (name, kind) in enumerate(kinds.items())
    ]
    return msgspec.defstruct(
        "Row", fields, forbid_unknown_fields=ALL_OTHERS not in layout.profile.ignore, gc=False
    )


def _instants(layout: Layout) -> list[str]:
    return [theirs for ours, theirs in layout.source.items() if ours in INSTANTS]


def _alike(items: list[Any], instants: list[str]) -> list[Ints]:
    """The items in groups within which each instant is always a text, or always a number."""
    kinds = np.zeros(len(items), dtype=np.int64)
    for name in instants:
        texts = (isinstance(value, str) for value in map(attrgetter(name), items))
        kinds = kinds * 2 + np.fromiter(texts, np.bool_, len(items))
    return [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)] or [np.arange(0)]


def _values(items: list[Any], some: Ints, name: str) -> list[Any]:
    values = list(map(attrgetter(name), items))
    return values if len(some) == len(items) else [values[k] for k in some.tolist()]


def _array(values: list[Any]) -> pa.Array:
    """Values as an Arrow column; numbers among texts are texts too."""
    if not any(isinstance(value, str) for value in values):
        return pa.array(values, None if any(value is not None for value in values) else pa.null())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _flaw(error: Exception) -> Flaw:
    """What is wrong with a line, from what the decoder says of it."""
    said = str(error)
    unknown = _UNKNOWN.search(said)
    if isinstance(error, msgspec.ValidationError) and unknown:
        return Flaw(UNKNOWN_FIELD, unknown[1][:64], f"there is no field {unknown[1][:64]!r}")
    at = _AT.search(said)
    if isinstance(error, msgspec.ValidationError) and at:
        return Flaw(MALFORMED, at[1][:64], said[:200])
    return _NOT_JSON


def _nonblank(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(BLOCK_BYTES):
        if len(line) == BLOCK_BYTES:
            raise BadInput(f"a line is longer than {BLOCK_BYTES // 1024 // 1024} MiB")
        if not line.isspace():
            yield line


def _inflated(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """The bytes of an open file, inflated where its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(raw)) if path.suffix == ".gz" else raw
