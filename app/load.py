"""Files into the database, piece by piece, each durable before the next; again changes nothing."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NamedTuple

from app import files
from app.aliases import Aliases
from app.checks import C, Limits
from app.db import Database
from app.errors import Invalid
from app.facts import Coded, PingColumns
from app.files import Boundary, Mapped, Numbering, Rows
from app.intake import Batch, Receipt, Refused, batch_of, keep_incidents, keep_pings, summed
from app.profile import read_profile
from app.settings import Settings
from app.shifts import parse_calendar, zone
from app.store.districts import District, get_district, put_district
from app.store.places import KINDS, Place, get_place, put_place

Progress = Callable[[int, int | None], None]  # done, and of how much: bytes or rows of the file
# The table of pings is in order of time and most files are not, so each write touches most of the
# table's pages: eight times the rows at once take little longer than one.
PINGS_AT_ONCE = 524_288
AHEAD = 2  # pieces that are read while one is written


class Piece(NamedTuple, Generic[C]):
    """Some rows of a file, checked."""

    batch: Batch[C]
    excluded: int
    done: int
    total: int | None


def load_pings(
    database: Database,
    settings: Settings,
    path: Path,
    profile: str | Path,
    now_us: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The receipt of a file of pings; its `index` counts rows from 0.

    `excluded` counts, beside those received, the rows that the profile leaves out.
    Raises BadInput for a file or profile that cannot be read, and DatabaseAway; what was loaded
    until then stays, so that the same again goes on.
    """
    source = files.open_rows(path, read_profile(profile), "pings", PINGS_AT_ONCE)
    names = Aliases(database).of("gpx") if files.is_gpx(path) else {}
    limits = Limits(now_us, settings.retention_days)

    def keep(batch: Batch[Any]) -> Receipt:
        with database.write() as c:
            left, new = keep_pings(c, batch, settings.register_units)
        return left.receipts(new)[0]

    pieces = (
        piece_of(r, _named(files.pings_of_rows(r, source.layout), names), limits)
        for r in source.rows
    )
    return _kept(pieces, keep, progress)


def load_incidents(
    database: Database,
    settings: Settings,
    path: Path,
    profile: str | Path,
    now_us: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The receipt of a file of incidents, as `load_pings` gives it, and raises."""
    source = files.open_rows(path, read_profile(profile), "incidents")
    limits, numbering = Limits(now_us), Numbering()

    def keep(batch: Batch[Any]) -> Receipt:
        with database.write() as c:
            return keep_incidents(c, batch, settings.resolution)

    pieces = (
        piece_of(r, files.incidents_of_rows(r, source.layout, numbering), limits)
        for r in source.rows
    )
    return _kept(pieces, keep, progress)


def load_districts(
    database: Database,
    path: Path,
    id_field: str | None,
    name_field: str | None,
    timezone: str,
    shifts: str,
) -> dict[str, Any]:
    """The receipt of a file of polygons: all are stored, or none.

    A district that is there already keeps its parent and its hours; an unchanged one is a
    duplicate. Raises BadInput for a file that cannot be read, Invalid for a time zone or a
    calendar (`day=07:00,night=19:00`) that makes no sense, and DatabaseAway.
    """
    try:
        calendar = parse_calendar(shifts)
        zone(timezone)
    except ValueError as error:
        raise Invalid(str(error)) from error
    found = files.read_districts(path, id_field, name_field)
    with database.write() as c:
        accepted = 0
        for boundary in found:
            old = get_district(c, boundary.id)
            new = _district(boundary, timezone, calendar, old)
            if new != old:
                put_district(c, new)
                accepted += 1
    return Refused().receipt(len(found), accepted).as_dict()


def load_places(
    database: Database, path: Path, kind: str, id_field: str | None, name_field: str | None
) -> dict[str, Any]:
    """The receipt of a file of polygons that are no patrol: all are stored, or none.

    An unchanged one is a duplicate. Raises BadInput for a file that cannot be read, Invalid for a
    kind that does not exist, and DatabaseAway.
    """
    if kind not in KINDS:
        raise Invalid(f"no kind of place is called {kind!r}; there is {', '.join(KINDS)}")
    found = files.read_districts(path, id_field, name_field)
    with database.write() as c:
        accepted = 0
        for boundary in found:
            new = Place(boundary.id, boundary.name, kind, boundary.geometry)
            if get_place(c, boundary.id) != new:
                put_place(c, new)
                accepted += 1
    return Refused().receipt(len(found), accepted).as_dict()


def _district(
    boundary: Boundary, timezone: str, shifts: dict[str, str], old: District | None
) -> District:
    return District(
        id=boundary.id,
        name=boundary.name,
        timezone=timezone,
        shifts=shifts,
        geometry=boundary.geometry,
        parent=old.parent if old else None,
        unit_hours=old.unit_hours if old else None,
    )


def _named(mapped: Mapped[PingColumns], names: Mapping[str, str]) -> Mapped[PingColumns]:
    """The same pings, under the call sign of each identifier that has one."""
    if not names:
        return mapped
    column = mapped.columns.unit_id
    renamed = Coded(column.code, tuple(names.get(name, name) for name in column.names))
    return mapped._replace(columns=replace(mapped.columns, unit_id=renamed))


def piece_of(rows: Rows, mapped: Mapped[C], limits: Limits) -> Piece[C]:
    """Rows that the profile does not exclude, checked."""
    left = mapped.left
    some = slice(None) if left.all() else left
    batch = batch_of(
        mapped.columns.take(some),
        limits,
        rows.index[some],
        received=int(left.sum()) + len(rows.broken),
        broken=rows.broken,
        found=mapped.found[some],
        flaws=mapped.flaws,
    )
    return Piece(batch, int((~left).sum()), rows.done, rows.total)


def _kept(
    pieces: Iterator[Piece[C]],
    keep: Callable[[Batch[C]], Receipt],
    progress: Progress | None,
) -> dict[str, Any]:
    """Every piece stored, and the receipt of all."""
    receipts: list[Receipt] = []
    excluded = 0
    for piece in _ahead(pieces):
        receipts.append(keep(piece.batch))
        excluded += piece.excluded
        if progress is not None:
            progress(piece.done, piece.total)
    return {**summed(receipts).as_dict(), "excluded": excluded}


def _ahead(pieces: Iterator[Piece[C]]) -> Iterator[Piece[C]]:
    """The same pieces, the next ones being read while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        waiting = deque(reader.submit(next, pieces, None) for _ in range(AHEAD))
        while (piece := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, pieces, None))
            yield piece
