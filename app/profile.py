"""A profile says how a source's file becomes ours: columns, times, places, categories.

Profiles are TOML files: some ship in `app/profiles`, others are given by path. Every member has a
default, so that the profile `generic`, the contract's own column names, is almost empty.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pyproj import CRS
from pyproj.exceptions import CRSError

from app.errors import BadInput
from app.instants import FORMS, check_format
from app.shifts import zone

Kind = Literal["pings", "incidents"]
FOLDER = Path(__file__).parent / "profiles"
ALL_OTHERS = "*"

FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "pings": (
        "unit_id",
        "time",
        "lat",
        "lon",
        "speed_mps",
        "heading_deg",
        "accuracy_m",
        "status",
    ),
    "incidents": (
        "incident_id",
        "occurred_from",
        "lat",
        "lon",
        "category",
        "occurred_to",
        "reported_at",
        "source",
        "municipality",
        "final_category",
    ),
}
REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "pings": ("unit_id", "time", "lat", "lon"),
    "incidents": ("incident_id", "occurred_from", "lat", "lon", "category"),
}
TEXTS = ("unit_id", "status", "category", "source", "municipality", "final_category")
INSTANTS = ("time", "occurred_from", "occurred_to", "reported_at")
MOMENT: Mapping[Kind, str] = {"pings": "time", "incidents": "occurred_from"}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Parts(_Table, frozen=True):
    """The columns that hold the parts of a local time, as numbers; the later ones may lack."""

    year: str
    month: str
    day: str
    hour: str | None = None
    minute: str | None = None
    second: str | None = None

    def columns(self) -> tuple[str, ...]:
        """The columns that are there to read."""
        return tuple(v for v in msgspec.structs.astuple(self) if v is not None)


class HourUnknown(_Table, frozen=True):
    """Local times of day (HH:MM) that only mean that the hour is unknown.

    `categories`: of these only, in the source's words; all where empty. Such an incident lasts,
    as far as anybody knows, from that time to the end of the local day.
    """

    at: tuple[Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")], ...]
    categories: tuple[str, ...] = ()


class DerivedId(_Table, frozen=True):
    """How a row without an id gets one: from its content, so that it is the same next time.

    The content is what the profile maps, and `also` these columns of the source. Rows with the
    same content are told apart by their number among themselves (`identical = "keep"`), in
    whatever order they come; or all but one are duplicates (`"drop"`).
    """

    also: tuple[str, ...] = ()
    identical: Literal["keep", "drop"] = "keep"


class Profile(_Table, frozen=True):
    """How one source's files are read.

    `columns`: our name = theirs; contract names that it leaves out stand for themselves.
    `ignore`: columns of theirs that are not used ("*": all others); any other is an error.
    `defaults`: our name = text, where the file has no such column or a row leaves it blank.
    `time_formats`: tried in this order: "rfc3339", "unix" (seconds), "unix_ms", or as in strptime
    (see `instants.format_us`). `timezone`: IANA name, for times without an offset; a time that
    clocks showed twice is its first occurrence, one that they left out is read with the offset
    before.
    `crs`: of the coordinates; the easting or longitude is called `lon`, the other `lat`.
    `no_coordinates`: values, in the source's own reference system, that mean there are none.
    `values`: per field, their word = ours. `exclude`: per field, the source's words whose rows
    are left out and not counted as received. `id_prefix` stands before ids of the source.
    """

    about: str = ""
    columns: dict[str, str] = {}
    ignore: tuple[str, ...] = ()
    defaults: dict[str, str] = {}
    time_formats: tuple[str, ...] = ("rfc3339", "unix")
    timezone: str | None = None
    parts: Parts | None = None
    crs: str = "EPSG:4326"
    no_coordinates: tuple[dict[Literal["lat", "lon"], float], ...] = ()
    values: dict[str, dict[str, str]] = {}
    exclude: dict[str, tuple[str, ...]] = {}
    hour_unknown: HourUnknown | None = None
    derived_id: DerivedId | None = None
    id_prefix: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Layout:
    """A profile applied to the columns that a file has: our name to theirs."""

    kind: Kind
    profile: Profile
    source: Mapping[str, str]

    @property
    def parts(self) -> Parts | None:
        """The date parts, where they stand for the moment."""
        return None if MOMENT[self.kind] in self.source else self.profile.parts

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column of the file that has to be read, each once."""
        derived = self.derived_id
        names = [*self.source.values(), *(derived.also if derived else ())]
        return tuple(dict.fromkeys([*names, *(self.parts.columns() if self.parts else ())]))

    @property
    def derived_id(self) -> DerivedId | None:
        """How ids are derived, where the file has none."""
        return None if "incident_id" in self.source else self.profile.derived_id


def read_profile(name_or_file: str | Path) -> Profile:
    """The profile of that name among those shipped, or in that file.

    Raises BadInput where there is none, or its content is not understood.
    """
    shipped = FOLDER / f"{name_or_file}.toml"
    path = shipped if str(name_or_file) in shipped_profiles() else Path(name_or_file)
    try:
        return profile_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped_profiles())
        raise BadInput(
            f"no profile {str(name_or_file)!r}: name one of {names}, or a file"
        ) from error
    except (tomllib.TOMLDecodeError, BadInput) as error:
        raise BadInput(f"profile {path.name}: {error}") from error


def shipped_profiles() -> list[str]:
    """The names of the profiles that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def profile_of(members: Mapping[str, object]) -> Profile:
    """A profile from its members. Raises BadInput where one is unknown or makes no sense."""
    try:
        profile = msgspec.convert(members, Profile)
        for form in profile.time_formats:
            check_format(form)
        if profile.timezone is not None:
            zone(profile.timezone)
        CRS.from_user_input(profile.crs)
        "".encode(profile.encoding)
    except (msgspec.ValidationError, ValueError, LookupError, CRSError) as error:
        raise BadInput(str(error)) from error
    ours = {name for names in FIELDS.values() for name in names}
    for member, fields in (
        ("columns", ours),
        ("defaults", TEXTS),
        ("values", TEXTS),
        ("exclude", TEXTS),
    ):
        unknown = sorted(getattr(profile, member).keys() - set(fields))
        if unknown:
            raise BadInput(f"{member} cannot name {unknown[0]!r}; only {', '.join(sorted(fields))}")
    local = profile.parts or any(form not in FORMS for form in profile.time_formats)
    if local and profile.timezone is None:
        raise BadInput("times without an offset need a timezone, such as America/Vancouver")
    return profile


def layout_of(profile: Profile, kind: Kind, found: Iterable[str], placed: bool = False) -> Layout:
    """How a file with the columns `found` is read; `placed` where geometries give lat and lon.

    Raises BadInput that names a required column which is not there, or a column that the profile
    does not know, and says which profile would fit.
    """
    there = list(found)
    wrong = _misfit(profile, kind, there, placed)
    if wrong:
        fits = [
            name
            for name in shipped_profiles()
            if not _misfit(read_profile(name), kind, there, placed)
        ]
        raise BadInput(wrong + "".join(f"; --profile {name} would fit" for name in fits[:1]))
    return Layout(kind, profile, _sources(profile, kind, there, placed))


def _sources(profile: Profile, kind: Kind, there: list[str], placed: bool) -> dict[str, str]:
    theirs = {name: profile.columns.get(name, name) for name in FIELDS[kind]}
    # A contract name that serves another field does not stand for itself.
    taken = {name for ours, name in profile.columns.items() if ours in theirs}
    return {
        ours: name
        for ours, name in theirs.items()
        if name in there
        and (ours in profile.columns or name not in taken)
        and not (placed and ours in ("lat", "lon"))
    }


def _misfit(profile: Profile, kind: Kind, there: list[str], placed: bool) -> str | None:
    """Why the columns do not fit, None where they do."""
    source = _sources(profile, kind, there, placed)
    twice = {name for name in there if there.count(name) > 1}
    if twice:
        return f"column {min(twice)!r} stands there twice"
    given = {*source, *profile.defaults}
    if placed:
        given |= {"lat", "lon"}
    if profile.parts and set(profile.parts.columns()) <= set(there):
        given.add(MOMENT[kind])
    if profile.derived_id:
        given.add("incident_id")
    for ours in REQUIRED[kind]:
        if ours not in given:
            name = profile.columns.get(ours, ours)
            return f"there is no column {name!r} among {', '.join(there) or 'none'}"
    also = profile.derived_id.also if profile.derived_id else ()
    known = {*source.values(), *profile.ignore, *(profile.parts.columns() if profile.parts else ())}
    known |= {*also, *(("lat", "lon") if placed else ())}
    unknown = [name for name in there if name not in known]
    if unknown and ALL_OTHERS not in profile.ignore:
        return f"column {unknown[0]!r} is not known; let a profile map or ignore it"
    return None
