"""Tables and texts that stand under their name only once they are complete."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import BadInput


def write_parquet(path: Path, pieces: Iterable[Mapping[str, Any]], schema: pa.Schema) -> int:
    """How many rows were written; each piece holds columns (arrays or sequences) by name.

    A file with no rows for no pieces. Raises BadInput where nothing can be written there.
    """
    rows = 0
    with (
        _replacing(path) as unfinished,
        pq.ParquetWriter(unfinished, schema, compression="zstd") as writer,
    ):
        for piece in pieces:
            columns = [pa.array(piece[field.name], field.type) for field in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            rows += len(columns[0])
    return rows


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8. Raises BadInput where nothing can be written there."""
    with _replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; takes its place if nothing goes wrong."""
    path = path.resolve()  # of a link, what it points to is replaced
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is no plain file; choose another to write to")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
