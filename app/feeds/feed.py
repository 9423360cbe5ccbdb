"""What a feed is: a small TOML file that says where incidents are published, and how to read them.

Secrets are not in it: `token` names one of the tokens of the settings.
"""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.errors import BadInput
from app.profile import Profile, read_profile, shipped_profiles
from app.shifts import zone

PagedKind = Literal["socrata", "arcgis"]
FileKind = Literal["geojson", "csv", "ndjson", "georss"]
PAGED: tuple[str, ...] = get_args(PagedKind)
NAME_LENGTH = 64
MIB = 1024 * 1024

# What only a portal that is read page by page understands.
_OF_PAGES = ("update_column", "id_column", "where", "overlap_s", "update_timezone", "point_column")
_POSITIVE = Meta(gt=0)


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The members of a feed file; each but the first two has a default.

    `kind`, `url`: what is read, and where. `profile`: how its columns become ours; a file of that
    name is looked for beside the feed's own. `update_column`: the column that says when a row
    last changed; without one, every pull reads all rows. `update_timezone`: the zone in which an
    ArcGIS server reads times in a query. `overlap_s` [s]: how far behind the last change a pull
    begins again, where rows appear later than their time says. `id_column`: what tells rows of
    the same time apart. `point_column`: a Socrata column of points. `where`: a further condition,
    in the portal's own language. `page_size` [rows]. `max_pages`, `max_pull_bytes`: one pull goes
    no further, the next goes on from there. `max_body_bytes`: the largest answer, inflated.
    `token`: the name of a token in the settings. `timeout_s` [s]: the longest silence;
    `deadline_s` [s]: the longest answer. `tries`: of each request; `retry_s` [s]: the first
    pause, which doubles; `patience_s` [s]: the longest pause, also if the server asks for more.
    `proxy`: address of an HTTP proxy.
    """

    kind: PagedKind | FileKind
    url: str
    about: str = ""
    profile: str = "generic"
    update_column: str | None = None
    update_timezone: str = "UTC"
    overlap_s: Annotated[int, Meta(ge=0)] = 0
    id_column: str | None = None
    point_column: str | None = None
    where: str | None = None
    page_size: Annotated[int, Meta(ge=2, le=50_000)] = 1000
    max_pages: Annotated[int, _POSITIVE] = 1000
    max_pull_bytes: Annotated[int, _POSITIVE] = 1024 * MIB
    max_body_bytes: Annotated[int, _POSITIVE] = 64 * MIB
    token: str | None = None
    timeout_s: Annotated[float, _POSITIVE] = 30.0
    deadline_s: Annotated[float, _POSITIVE] = 300.0
    tries: Annotated[int, _POSITIVE] = 6
    retry_s: Annotated[float, _POSITIVE] = 1.0
    patience_s: Annotated[float, _POSITIVE] = 120.0
    proxy: str | None = None


@dataclass(frozen=True)
class Source:
    """A feed with its name and its profile.

    `digest`: changes with everything that a cursor or an ETag depends on, so that a feed that
    reads something else, or reads it otherwise, begins anew.
    """

    name: str
    feed: Feed
    profile: Profile
    digest: str


def read_feed(name_or_file: str | Path, folder: Path) -> Source:
    """The feed in that file, or of that name in the folder; it is called as its file.

    Raises BadInput where there is none, or its content is not understood.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml":
        path = folder / f"{name_or_file}.toml"
    try:
        members = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"no feed {str(name_or_file)!r}: name a TOML file, or one in {folder}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"feed {path.name}: {error}") from error
    try:
        return source_of(path.stem, feed_of(members), path.parent)
    except BadInput as error:
        raise BadInput(f"feed {path.name}: {error}") from error


def feed_of(members: dict[str, object]) -> Feed:
    """A feed from its members. Raises BadInput where one is unknown or makes no sense."""
    try:
        feed = msgspec.convert(members, Feed)
        zone(feed.update_timezone)
        address = urlsplit(feed.url)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadInput(str(error)) from error
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BadInput("url must be an address that begins with https:// or http://")
    if address.username or address.password:
        raise BadInput("url holds a password; use token, and FOCUS_PATROL_FEED_TOKENS")
    for name in _OF_PAGES if feed.kind not in PAGED else ():
        if name in members:
            raise BadInput(f"{name} is not for a feed of kind {feed.kind}")
    if feed.kind != "socrata" and feed.point_column:
        raise BadInput("point_column is only for a feed of kind socrata")
    return feed


def source_of(name: str, feed: Feed, folder: Path) -> Source:
    """A feed by its name, with its profile. Raises BadInput for a bad name or profile."""
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        raise BadInput(f"a feed's name must be 1 to {NAME_LENGTH} printable characters")
    beside = folder / feed.profile
    ships = feed.profile in shipped_profiles()
    profile = read_profile(feed.profile if ships or not beside.is_file() else beside)
    what = (
        *(feed.kind, feed.url, feed.where, feed.update_column, feed.id_column, feed.point_column),
        feed.update_timezone,
        _said(profile),
    )
    return Source(name, feed, profile, sha256(msgspec.json.encode(what)).hexdigest())


def _said(profile: Profile) -> dict[str, object]:
    """The members that a profile gives, so that a new one with its default changes nothing."""
    otherwise = Profile()
    names = Profile.__struct_fields__
    members = {name: getattr(profile, name) for name in names if name != "about"}
    return {name: value for name, value in members.items() if value != getattr(otherwise, name)}
