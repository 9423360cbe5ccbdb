"""Rows of a GeoRSS feed: Atom or RSS, one row an entry, with a point that the entry carries.

The XML is read piece by piece. Entities are never replaced, nothing is fetched that it refers to,
and a document type is refused, so that a feed cannot reach files or unfold in memory.
"""

import gzip
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from lxml import etree

from app.errors import BadInput
from app.files.rows import Rows
from app.profile import Kind, Layout, Profile, layout_of

# Ours on the left: what Atom calls it, and what RSS calls it.
COLUMNS = {
    "id": ("id", "guid"),
    "title": ("title",),
    "published": ("published", "pubDate", "date"),
    "updated": ("updated",),
    "category": ("category",),
    "summary": ("summary", "description"),
    "content": ("content", "encoded"),
    "link": ("link",),
}
_OURS = {theirs: ours for ours, names in COLUMNS.items() for theirs in names}
_ROOTS = ("feed", "rss", "RDF")

Entry = tuple[dict[str, str], float, float]


def is_georss(path: Path) -> bool:
    """Whether an XML file is a feed, by its outermost element; true also where there is none.

    Raises BadInput for a document type, whoever is to read the file.
    """
    with _opened(path) as file:
        try:
            _, root = next(_steps(file))
        except (etree.XMLSyntaxError, StopIteration):
            return True
        _refuse_document_type(path, root)
        return etree.QName(root).localname in _ROOTS


def check_georss(path: Path) -> int:
    """How many entries a feed has. Raises BadInput where it is no whole, well-formed XML."""
    with _opened(path) as file:
        return sum(1 for _ in _entries(path, file))


def georss_rows(
    path: Path, profile: Profile, kind: Kind, batch_rows: int
) -> tuple[Layout, Iterator[Rows]]:
    """How a feed is read, and its rows; an entry without a point has none.

    The columns are those of COLUMNS; of several categories or links the first counts. Reading the
    rows raises BadInput where the XML is not well formed or has a document type.
    """
    layout = layout_of(profile, kind, COLUMNS, placed=True)
    return layout, _rows(path, layout, batch_rows)


def _rows(path: Path, layout: Layout, batch_rows: int) -> Iterator[Rows]:
    start, total = 0, path.stat().st_size
    with path.open("rb") as raw, _inflated(path, raw) as file:
        entries = _entries(path, file)
        while some := list(islice(entries, batch_rows)):
            yield Rows(
                columns={
                    name: pa.array([values.get(name) for values, _, _ in some], pa.string())
                    for name in layout.needed
                },
                index=np.arange(start, start + len(some)),
                quoted=False,
                lat=np.array([lat for _, lat, _ in some]),
                lon=np.array([lon for _, _, lon in some]),
                done=raw.tell(),
                total=total,
            )
            start += len(some)


def _entries(path: Path, file: IO[bytes]) -> Iterator[Entry]:
    root = None
    try:
        for event, element in _steps(file):
            if root is None:
                root = element
                _refuse_document_type(path, root)
            elif event == "end" and etree.QName(element).localname in ("entry", "item"):
                yield _entry(element)
                element.clear()
                while element.getprevious() is not None:  # or the tree would grow with the feed
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise BadInput(f"{path.name} is no well-formed XML: {error.msg}") from error


def _steps(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Where elements start and end, in XML that can reach nothing outside of itself."""
    return iter(
        etree.iterparse(
            file,
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
    )


def _refuse_document_type(path: Path, root: Any) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadInput(f"{path.name} has a document type; a feed needs none")


def _entry(element: Any) -> Entry:
    values: dict[str, str] = {}
    lat = lon = np.nan
    for child in element:
        name = etree.QName(child).localname
        if name in ("point", "where", "Point"):
            lat, lon = _point("".join(child.itertext()))
        elif name == "lat":
            lat = _degrees(child.text)
        elif name in ("long", "lon"):
            lon = _degrees(child.text)
        elif name in _OURS:
            values.setdefault(_OURS[name], _text(name, child))
    return values, lat, lon


def _text(name: str, element: Any) -> str:
    if name in ("category", "link"):
        said = element.get("term") or element.get("href") or element.text
    else:
        said = "".join(element.itertext())
    said = (said or "").strip()
    return _rfc3339(said) if name == "pubDate" else said


def _rfc3339(text: str) -> str:
    """A date as RSS writes it (RFC 822), as RFC 3339; any other text stays."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return text
    return text if moment.tzinfo is None else moment.isoformat()


def _point(text: str) -> tuple[float, float]:
    """Latitude and longitude [deg] of `45.59 -122.76`; NaN for anything else."""
    parts = text.replace(",", " ").split()
    return (_degrees(parts[0]), _degrees(parts[1])) if len(parts) == 2 else (np.nan, np.nan)


def _degrees(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return float("nan")


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _inflated(path: Path, raw: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(raw)) if path.suffix == ".gz" else raw
