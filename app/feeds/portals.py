"""What Socrata and ArcGIS are asked, and what they answer.

Source: Tyler Technologies, SODA developer documentation (paging, system fields, `$where`); Esri,
ArcGIS REST API, Query (Feature Service/Layer).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import shapely

from app.errors import BadInput
from app.feeds.body import Fault
from app.feeds.feed import Feed
from app.feeds.records import Record, degrees, parsed
from app.feeds.upstream import AGAIN, UpstreamRefused, excerpt

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Page(NamedTuple):
    """Records in the portal's order; `more`: whether it says that others follow, None if silent."""

    records: list[Record]
    more: bool | None


class Portal(Protocol):
    """A kind of portal that is read page by page, in the order of change and id."""

    def params(self, since: Any, offset: int) -> dict[str, str]:
        """The query for what changed at or after the block `since` (None: all), from there on."""
        ...

    def page(self, body: bytes) -> Page:
        """The records of an answer. Raises Fault, UpstreamRefused, or BadInput."""
        ...

    def before(self, one: Any, other: Any) -> bool:
        """Whether the first block comes before the other in the portal's order."""
        ...

    def earlier(self, block: Any) -> Any:
        """A block the feed's overlap before this one."""
        ...


class Socrata:
    """SODA 2.1, as at `https://HOST/resource/ID.json`; a block is the update column as written."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.id = feed.id_column or ":id"

    def params(self, since: str | None, offset: int) -> dict[str, str]:
        """`$select` brings the system fields, which are not there by default."""
        column, conditions = self.feed.update_column, []
        if self.feed.where:
            conditions.append(f"({self.feed.where})")
        if column:
            after = "IS NOT NULL" if since is None else f">= {_literal(since)}"
            conditions.append(f"{column} {after}")
        query = {
            "$select": ":*,*",
            "$order": f"{column},{self.id}" if column else self.id,
            "$limit": str(self.feed.page_size),
            "$offset": str(offset),
        }
        return query | ({"$where": " AND ".join(conditions)} if conditions else {})

    def page(self, body: bytes) -> Page:
        """An array of objects, whose nulls are left out; names with a colon are the system's."""
        found = parsed(body)
        if isinstance(found, dict) and ("message" in found or "error" in found):
            raise Fault(f"it answered: {excerpt(str(found.get('message') or found['error']))}")
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise UpstreamRefused("the portal's answer is no list of records: is the url its .json")
        return Page([self._record(row) for row in found], None)

    def before(self, one: str, other: str) -> bool:
        """Times of one form compare as texts, numbers as numbers."""
        if _NUMBER.fullmatch(one) and _NUMBER.fullmatch(other):
            return float(one) < float(other)
        return one < other

    def earlier(self, block: str) -> str:
        """The same form of time; what is no time stays."""
        try:
            moment = datetime.fromisoformat(block) - timedelta(seconds=self.feed.overlap_s)
        except (ValueError, OverflowError):
            return block
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _record(self, row: dict[str, Any]) -> Record:
        column = self.feed.update_column
        point = None
        name = _value(row, self.id, "id_column")
        block = _value(row, column, "update_column") if column else None
        if self.feed.point_column:
            point = _soda_point(row.get(self.feed.point_column))
        values = {
            key: value
            for key, value in row.items()
            if not key.startswith(":") and key != self.feed.point_column
        }
        return Record(values, name, block, block, point)


class Arcgis:
    """A layer, as at `https://HOST/…/FeatureServer/0/query`; a block is a whole Unix second."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.id = feed.id_column or "OBJECTID"

    def params(self, since: int | None, offset: int) -> dict[str, str]:
        """Times in a query are only good to the second on every server."""
        column, conditions = self.feed.update_column, []
        if self.feed.where:
            conditions.append(f"({self.feed.where})")
        if column and since is None:
            conditions.append(f"{column} IS NOT NULL")
        elif column:
            moment = datetime.fromtimestamp(since or 0, ZoneInfo(self.feed.update_timezone))
            conditions.append(f"{column} >= timestamp '{moment:%Y-%m-%d %H:%M:%S}'")
        return {
            "f": "json",
            "where": " AND ".join(conditions) or "1=1",
            "outFields": "*",
            "outSR": "4326",
            "returnGeometry": "true",
            "orderByFields": f"{column} ASC,{self.id} ASC" if column else f"{self.id} ASC",
            "resultRecordCount": str(self.feed.page_size),
            "resultOffset": str(offset),
        }

    def page(self, body: bytes) -> Page:
        """A feature set; an error comes with the status 200."""
        found = parsed(body)
        if not isinstance(found, dict):
            raise Fault("it answered with something that is no feature set")
        if "error" in found:
            raise _arcgis_error(found["error"])
        features = found.get("features")
        if not isinstance(features, list):
            raise UpstreamRefused("the server's answer has no features: is the url that of a query")
        placed = "geometryType" in found
        more = found.get("exceededTransferLimit")
        return Page(
            [self._record(feature, placed) for feature in features],
            more if isinstance(more, bool) else None,
        )

    def before(self, one: int, other: int) -> bool:
        """As numbers."""
        return one < other

    def earlier(self, block: int) -> int:
        """So many seconds."""
        return block - self.feed.overlap_s

    def _record(self, feature: Any, placed: bool) -> Record:
        if not isinstance(feature, dict) or not isinstance(feature.get("attributes"), dict):
            raise Fault("it answered with a feature that has no attributes")
        values, geometry = feature["attributes"], feature.get("geometry")
        said = block = None
        if self.feed.update_column:
            said = _value(values, self.feed.update_column, "update_column")
            try:
                block = int(float(said) // 1000)
                datetime.fromtimestamp(block, UTC)
            except (ValueError, OverflowError, OSError) as error:
                raise BadInput(f"{self.feed.update_column} is no date: {excerpt(said)}") from error
        point = None
        if placed or geometry is not None:
            place = geometry if isinstance(geometry, dict) else {}
            point = (degrees(place.get("y")), degrees(place.get("x")))
        return Record(values, _value(values, self.id, "id_column"), said, block, point)


def portal_of(feed: Feed) -> Portal:
    """The portal of a feed that is read page by page."""
    return Socrata(feed) if feed.kind == "socrata" else Arcgis(feed)


def _value(values: dict[str, Any], column: str, member: str) -> str:
    """What orders the records has to be there. Raises BadInput."""
    said = values.get(column)
    if not isinstance(said, str):
        there = ", ".join(list(values)[:20])
        raise BadInput(f"a record has no {column!r} ({member}) among {there or 'none'}")
    return said


def _literal(value: str) -> str:
    """A value in SoQL."""
    return value if _NUMBER.fullmatch(value) else "'" + value.replace("'", "''") + "'"


def _soda_point(value: Any) -> tuple[float, float]:
    """Latitude and longitude of a GeoJSON point, or of a location as SODA had it before."""
    if isinstance(value, dict) and "latitude" in value:
        return degrees(value["latitude"]), degrees(value.get("longitude"))
    if isinstance(value, dict) and value.get("type") == "Point":
        place = value.get("coordinates")
        if isinstance(place, list) and len(place) >= 2:
            point = shapely.Point(degrees(place[0]), degrees(place[1]))
            return point.y, point.x
    return float("nan"), float("nan")


def _arcgis_error(error: Any) -> Exception:
    """A Fault for what may be over soon, UpstreamRefused for what will not."""
    code = str(error.get("code")) if isinstance(error, dict) else ""
    said = excerpt(str(error.get("message") if isinstance(error, dict) else error))
    if code in map(str, AGAIN):
        return Fault(f"it answered {code}: {said}")
    return UpstreamRefused(f"the server refused the query ({code}): {said}")
