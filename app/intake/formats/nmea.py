"""NMEA 0183 as vehicle boxes send it: sentences of GPS receivers, and who it is that sends them.

RMC carries date, speed and course, GGA and GLL only a time of day; GGA adds how far to trust them.
One epoch often comes as several sentences, which make one position together.
Source: NMEA 0183 version 4.11 (2018); for `PUBX`, u-blox 8 protocol specification (2023).
"""

import math
import re
from collections.abc import Iterable
from functools import reduce
from operator import xor
from typing import NamedTuple

import pynmea2

from app.checks import MALFORMED, TIME_INVALID, Flaw
from app.instants import INVALID
from app.intake.formats.position import (
    KMH_MPS,
    KNOT_MPS,
    Position,
    Unreadable,
    accuracy,
    accuracy_of_hdop,
    heading,
    in_this_era_us,
    measure,
    midnight_us,
    nearest_day_us,
    number,
    of_day_us,
)

LONGEST = 1024  # characters; the standard has 82, and boxes add to them
_SENTENCE = re.compile(r"([^$]*)\$([^*$]*)(?:\*\s*([0-9A-Fa-f]{1,2}))?")
_KIND = re.compile(r"(?:[A-Z]{2}(RMC|GGA|GLL|GNS)|PUBX,(00)),")
_LOGIN = re.compile(r"(?:PSIWMDID|PCPTI|PGID|GPFID),([^,]+)|IMEI=([0-9]{15})")
_IMEI = re.compile(r"[0-9]{15}")
_TIME = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]*))?")
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
_ANGLE = re.compile(r"([0-9]{1,3})([0-9]{2}(?:\.[0-9]*)?)")
_HALVES = {"N": 1, "S": -1, "E": 1, "W": -1}
_NO_MODE = frozenset("MNS")  # entered by hand, no fix, simulated; E is dead reckoning
_QUALITY = frozenset("1234569")  # 0 no fix, 7 by hand, 8 simulated
_CENTURY = 80  # years from here on are of the century before: no receiver is older


class Sentence(NamedTuple):
    """What one sentence says; `kind` is ID for one that only names its sender."""

    kind: str
    identifier: str | None
    time_of_day_us: int = INVALID
    day_us: int | None = None
    lat: float = math.nan
    lon: float = math.nan
    speed_mps: float = math.nan
    heading_deg: float = math.nan
    accuracy_m: float = math.nan
    valid: bool = False


class Memory(NamedTuple):
    """What is kept of a source from one datagram to the next."""

    identifier: str | None = None
    sends_rmc: bool = False


class Heard(NamedTuple):
    """Positions, the flaws of sentences that could not be read, how many carry no position."""

    positions: list[Position]
    flaws: list[Flaw]
    others: int


def decode(datagram: bytes, memory: Memory, received_us: int) -> tuple[Heard, Memory]:
    """The positions of some lines, and what to remember of their source. Never raises.

    Sentences of one time of day make one position: RMC before the others, accuracy from GGA. The
    others count only from a source that never sent RMC; then the day is the nearest to the receipt.
    """
    sentences: list[Sentence] = []
    flaws: list[Flaw] = []
    others = 0
    for line in datagram.splitlines():
        try:
            found = sentence_of(line)
        except Unreadable as error:
            flaws.append(error.flaw)
            continue
        others += found is None
        if found is not None:
            sentences.append(found)
    names = [s.identifier for s in sentences if s.identifier is not None]
    rmc = memory.sends_rmc or any(s.kind == "RMC" for s in sentences)
    memory = Memory(names[-1] if names else memory.identifier, rmc)
    epochs: dict[tuple[str | None, int], list[Sentence]] = {}
    for sentence in sentences:
        if sentence.kind != "ID":
            epochs.setdefault((sentence.identifier, sentence.time_of_day_us), []).append(sentence)
    merged = (_merged(group, memory, received_us) for group in epochs.values())
    return Heard([p for p in merged if p is not None], flaws, others), memory


def sentence_of(line: bytes) -> Sentence | None:
    """What a line says; None for sentences without a position, and for blank lines.

    Raises Unreadable for a wrong checksum, or a position or time that cannot be.
    """
    text = _text(line)
    if not text:
        return None
    if _IMEI.fullmatch(text):
        return Sentence("ID", text)
    found = _SENTENCE.match(text)
    if found is None:
        raise Unreadable(MALFORMED, None, "an NMEA sentence begins with $")
    before, body, checksum = found.groups()
    if checksum is not None:
        _check(body, int(checksum, 16))
    login = _LOGIN.match(body)
    if login:
        return Sentence("ID", (login[1] or login[2]).strip() or None)
    kind = _KIND.match(body)
    if kind is None:
        return None
    try:
        parsed = pynmea2.parse(f"${body.rstrip()}")
    except pynmea2.ParseError as error:
        raise Unreadable(MALFORMED, None, "this is no NMEA sentence") from error
    return _read(kind[1] or "PUBX", parsed, _prefix(before))


def _text(line: bytes) -> str:
    if len(line) > LONGEST:
        raise Unreadable(MALFORMED, None, f"the line is longer than {LONGEST} characters")
    try:
        return line.decode("ascii").strip("\0 \t\r\n")
    except UnicodeDecodeError as error:
        raise Unreadable(MALFORMED, None, "an NMEA sentence is ASCII") from error


def _check(body: str, said: int) -> None:
    """Some devices leave a blank before the star that they did not sum."""
    if said not in (reduce(xor, map(ord, b), 0) for b in (body, body.rstrip())):
        raise Unreadable(MALFORMED, None, "the checksum is wrong")


def _prefix(before: str) -> str | None:
    """The name that some boxes put before the sentence: `NAME$`, `NAME,$` or `port/NAME/$`."""
    name = before.strip(", ")
    if name.endswith("/"):
        name = name[:-1].rpartition("/")[2]
    return name.strip() or None


def _read(kind: str, parsed: pynmea2.NMEASentence, identifier: str | None) -> Sentence | None:
    """The sentence by its fields; None where it has no time or no position yet."""
    fields = {
        name: parsed.data[k] if k < len(parsed.data) else ""
        for name, k in parsed.name_to_idx.items()
    }
    if not (fields["timestamp"] and fields["lat"] and fields["lon"]):
        return None
    common = Sentence(
        kind=kind,
        identifier=identifier,
        time_of_day_us=_time_of_day_us(fields["timestamp"]),
        lat=_angle(fields["lat"], fields["lat_dir"], "NS", "lat"),
        lon=_angle(fields["lon"], fields["lon_dir"], "EW", "lon"),
    )
    return _OF_KIND[kind](common, fields)


def _rmc(common: Sentence, fields: dict[str, str]) -> Sentence:
    mode = fields["mode_indicator"][:1]
    return common._replace(
        day_us=_day_us(fields["datestamp"]),
        speed_mps=measure(fields["spd_over_grnd"], KNOT_MPS),
        heading_deg=heading(fields["true_course"]),
        valid=fields["status"] == "A" and mode not in _NO_MODE,
    )


def _gga(common: Sentence, fields: dict[str, str]) -> Sentence:
    hdop = accuracy_of_hdop(fields["horizontal_dil"])
    return common._replace(accuracy_m=hdop, valid=fields["gps_qual"] in _QUALITY)


def _gll(common: Sentence, fields: dict[str, str]) -> Sentence:
    # Old receivers send no status; what they send is a fix.
    good = fields["status"] in ("A", "") and fields["faa_mode"][:1] not in _NO_MODE
    return common._replace(valid=good)


def _gns(common: Sentence, fields: dict[str, str]) -> Sentence:
    good = bool(set(fields["mode_indicator"]) - _NO_MODE)  # one letter for each constellation
    return common._replace(accuracy_m=accuracy_of_hdop(fields["hdop"]), valid=good)


def _pubx(common: Sentence, fields: dict[str, str]) -> Sentence:
    return common._replace(
        speed_mps=measure(fields["sog"], KMH_MPS),
        heading_deg=heading(fields["cog"]),
        accuracy_m=accuracy(fields["h_acc"]),
        valid=fields["nav_stat"] not in ("NF", ""),
    )


_OF_KIND = {"RMC": _rmc, "GGA": _gga, "GLL": _gll, "GNS": _gns, "PUBX": _pubx}


def _time_of_day_us(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise Unreadable(TIME_INVALID, "time", "there is no such time of day")
    clock = of_day_us(int(found[1]), int(found[2]), int(found[3]))
    return clock + int(((found[4] or "") + "000000")[:6])


def _day_us(text: str) -> int | None:
    """Midnight of a date; None where none was sent."""
    if not text:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise Unreadable(TIME_INVALID, "time", "a date has six digits")
    day, month, year = map(int, found.groups())
    return midnight_us((1900 if year >= _CENTURY else 2000) + year, month, day)


def _angle(text: str, half: str, halves: str, field: str) -> float:
    found = _ANGLE.fullmatch(text)
    if found is None or half not in halves or not half or number(found[2]) > 60:
        raise Unreadable(MALFORMED, field, f"{field} must be degrees and minutes, and {halves}")
    return _HALVES[half] * (int(found[1]) + float(found[2]) / 60)


def _merged(group: list[Sentence], memory: Memory, received_us: int) -> Position | None:
    """One position of the sentences of an epoch; None where they add nothing to an RMC."""
    rmc = next((s for s in group if s.kind == "RMC"), None)
    if rmc is None and memory.sends_rmc:
        return None
    best = rmc or next((s for s in group if s.valid), group[0])
    if best.day_us is None:
        time_us = nearest_day_us(best.time_of_day_us, received_us)
    else:
        time_us = in_this_era_us(best.day_us + best.time_of_day_us, received_us)
    return Position(
        identifier=best.identifier or memory.identifier,
        time_us=time_us,
        lat=best.lat,
        lon=best.lon,
        speed_mps=_first(s.speed_mps for s in (best, *group)),
        heading_deg=_first(s.heading_deg for s in (best, *group)),
        accuracy_m=_first(s.accuracy_m for s in group),
        valid=best.valid and not any(s.kind == "GGA" and not s.valid for s in group),
    )


def _first(values: Iterable[float]) -> float:
    """The first value that is known, else NaN."""
    return next((value for value in values if not math.isnan(value)), math.nan)
