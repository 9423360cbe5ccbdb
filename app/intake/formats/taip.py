"""TAIP, the ASCII protocol of Trimble, and what other makers made of it.

`>RPV…;ID=1234;*7F<`: a position and velocity without its date. `REV` is the same with a GPS week;
`RGP`, `RCQ`, `RCV`, `RBR`, `RUS` and `RUV` are dialects of other makers with a date.
Source: Trimble (1999), Lassen-SK8 Embedded GPS Module, appendix C; Digital Communications
Technologies (2013), Syrus manual, PV and EV.
"""

import math
import re
from functools import reduce
from operator import xor

from app.checks import MALFORMED, TIME_INVALID
from app.intake.formats.position import (
    MPH_MPS,
    Position,
    Unreadable,
    heading,
    in_this_era_us,
    midnight_us,
    nearest_day_us,
    of_day_us,
)
from app.shifts import DAY_US, SECOND_US

_GPS_EPOCH_US = 3_657 * DAY_US  # 6 January 1980
_MESSAGE = re.compile(r">([^<>\r\n]*)")
_CHECKSUM = re.compile(r"\*([0-9A-Fa-f]{2})\s*$")
_ID = re.compile(r";ID=([^;*]*)", re.I)
_TRIMBLE = re.compile(
    r"R(?:PV|EV(?:[0-9]{2}(?P<week>[0-9]{4})(?P<weekday>[0-6]))?)(?P<seconds>[0-9]{5})"
    r"(?P<lat>[-+][0-9]{7})(?P<lon>[-+][0-9]{8})"
    r"(?P<speed>[0-9]{3})(?P<heading>[0-9]{3})(?P<fix>[0-9])(?P<age>[0-9])"
)
_DATED = re.compile(
    r"R(?:GP|(?:CQ|CV|BR)[0-9]{2}|US[0-9]{2},?|UV[0-9]{4,5},[0-9A-Za-z]{1,8},)"
    r"(?P<day>[0-9]{2})(?P<month>[0-9]{2})(?P<year>[0-9]{2})"
    r"(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})"
    r"(?:(?P<lat>[-+][0-9]{7})(?P<lon>[-+][0-9]{8})"
    r"|(?P<lat_deg>[-+][0-9]{2})(?P<lat_min>[0-9]{2}\.[0-9]{4})"
    r"(?P<lon_deg>[-+][0-9]{3})(?P<lon_min>[0-9]{2}\.[0-9]{4}))"
    r"(?P<speed>[0-9]{3})(?P<heading>[0-9]{3})(?P<rest>[0-9A-F]*)"
)
# What follows the heading: inputs, satellites, battery, odometer, power of the GPS, fix.
_FIX_OF_EVENT = re.compile(r"[0-9A-F]{4}[0-9]{3}[0-9A-F]{8}[01]([0-9])")
_HAS_FIX = "23"  # 2D and 3D


def messages_of(datagram: bytes) -> list[str]:
    """The messages of a datagram, each from its `>` to the next `<` or the end. Raises Unreadable.

    Around and between them may stand line ends.
    """
    try:
        text = datagram.decode("ascii")
    except UnicodeDecodeError as error:
        raise Unreadable(MALFORMED, None, "a TAIP message is ASCII") from error
    found = _MESSAGE.findall(text)
    if not found:
        raise Unreadable(MALFORMED, None, "a TAIP message begins with >")
    return [str(message) for message in found]


def decode(message: str, received_us: int) -> Position | None:
    """The position of a message without its `>` and `<`; None for those that carry none.

    A time without a date is the nearest one to the receipt. Raises Unreadable for a message whose
    checksum is wrong, or that cannot be what it says.
    """
    _check(message)
    found = _TRIMBLE.match(message)
    if found:
        return _trimble(found, identifier_of(message), received_us)
    found = _DATED.match(message)
    if found:
        return _dated(found, identifier_of(message), received_us)
    if message.startswith(("RPV", "REV", "RGP")):
        raise Unreadable(MALFORMED, None, f"{message[:3]} is not of the form that it should have")
    return None


def identifier_of(message: str) -> str | None:
    """What the message says after `ID=`: of any length, None where there is none."""
    found = _ID.search(message)
    return (found[1].strip() or None) if found else None


def _check(message: str) -> None:
    """Two dialects: the star itself belongs to what is summed, or does not."""
    found = _CHECKSUM.search(message)
    if found is None:
        return
    summed = reduce(xor, map(ord, message[: found.start()]), ord(">"))
    if int(found[1], 16) not in (summed, summed ^ ord("*")):
        raise Unreadable(MALFORMED, None, "the checksum is wrong")


def _trimble(found: re.Match[str], identifier: str | None, received_us: int) -> Position:
    clock = int(found["seconds"]) * SECOND_US
    if clock > DAY_US:
        raise Unreadable(TIME_INVALID, "time", "a day has no such second")
    if found["week"] is None:
        time_us = nearest_day_us(clock, received_us)
    else:
        days = int(found["week"]) * 7 + int(found["weekday"])
        time_us = in_this_era_us(_GPS_EPOCH_US + days * DAY_US + clock, received_us)
    return Position(
        identifier=identifier,
        time_us=time_us,
        lat=int(found["lat"]) / 1e5,
        lon=int(found["lon"]) / 1e5,
        speed_mps=int(found["speed"]) * MPH_MPS,
        heading_deg=heading(int(found["heading"])),
        valid=found["fix"] != "9" and found["age"] in "12",
    )


def _dated(found: re.Match[str], identifier: str | None, received_us: int) -> Position:
    clock = of_day_us(*(int(found[name]) for name in ("hour", "minute", "second")))
    day = midnight_us(2000 + int(found["year"]), int(found["month"]), int(found["day"]))
    # The makers do not agree about the unit of speed; standing still is the same in all.
    return Position(
        identifier=identifier,
        time_us=in_this_era_us(day + clock, received_us),
        lat=_angle(found, "lat"),
        lon=_angle(found, "lon"),
        speed_mps=0.0 if found["speed"] == "000" else math.nan,
        heading_deg=heading(int(found["heading"])),
        valid=_has_fix(found),
    )


def _angle(found: re.Match[str], name: str) -> float:
    """Degrees with five decimals, or degrees and minutes."""
    if found[name] is not None:
        return int(found[name]) / 1e5
    whole, minutes = found[f"{name}_deg"], float(found[f"{name}_min"])
    return math.copysign(abs(int(whole)) + minutes / 60, -1 if whole[0] == "-" else 1)


def _has_fix(found: re.Match[str]) -> bool:
    """Whether the device had a fix, where it says so at all."""
    if found[0].startswith(("RCQ", "RCV", "RBR")):
        said = _FIX_OF_EVENT.match(found["rest"])
        return said is None or said[1] in _HAS_FIX
    return not found["rest"] or found["rest"][0] in _HAS_FIX
