"""The protocol of OsmAnd and of the Traccar clients: a query string, a form, or JSON."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from app.checks import MALFORMED
from app.instants import ABSENT, INVALID
from app.intake.formats.position import (
    KNOT_MPS,
    Position,
    Unreadable,
    accuracy,
    accuracy_of_hdop,
    degrees,
    heading,
    identifier_of,
    json_object,
    measure,
    member,
    number,
    seconds_us,
    written_us,
)

MILLISECONDS_FROM = 2**31 - 1  # a number from here on counts milliseconds, as Traccar has it
MAX_FIELDS = 1000


def decode(fields: Mapping[str, str], received_us: int) -> Position:
    """The position in the parameters of a query or form. Raises Unreadable.

    Other parameters are let be: the protocol has many, and apps add their own. A message without
    a time is one of the moment of its receipt, as the protocol has it; a time without an offset
    is in UTC. Source: Traccar (2026), documentation of the OsmAnd protocol.
    """
    lat, lon = fields.get("lat"), fields.get("lon")
    if "location" in fields:
        lat, _, lon = fields["location"].partition(",")
    stated = accuracy(fields.get("accuracy"))
    return Position(
        identifier=identifier_of(fields.get("id"), fields.get("deviceid")),
        time_us=_time_us(fields.get("timestamp") or None, received_us),
        lat=degrees(lat, "lat"),
        lon=degrees(lon, "lon"),
        speed_mps=measure(fields.get("speed"), KNOT_MPS),
        heading_deg=heading(fields.get("bearing", fields.get("heading"))),
        accuracy_m=stated if stated == stated else accuracy_of_hdop(fields.get("hdop")),
        valid=fields.get("valid", "true").lower() in ("true", "1", ""),
    )


def decode_json(body: bytes) -> Position:
    """The position of a JSON message of the newer clients. Raises Unreadable.

    There speed is in m/s, and a negative value stands for one that is not known.
    """
    whole = json_object(body)
    location = member(whole, "location")
    coords = member(location, "coords")
    time = location.get("timestamp")
    return Position(
        identifier=identifier_of(whole.get("device_id"), whole.get("id"), whole.get("deviceid")),
        time_us=ABSENT if time is None else _time_us(time, ABSENT),
        lat=degrees(coords.get("latitude"), "latitude"),
        lon=degrees(coords.get("longitude"), "longitude"),
        speed_mps=measure(coords.get("speed")),
        heading_deg=heading(coords.get("heading")),
        accuracy_m=accuracy(coords.get("accuracy")),
    )


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form, the last of several that share a name. Raises Unreadable."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise Unreadable(MALFORMED, None, "the body is neither a form nor JSON") from error


def _time_us(value: Any, received_us: int) -> int:
    if value is None:
        return received_us
    counted = number(value)
    if counted == counted:
        return seconds_us(counted / 1000 if counted >= MILLISECONDS_FROM else counted)
    return written_us(value, assume_utc=True) if isinstance(value, str) else INVALID
