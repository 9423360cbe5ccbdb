"""Traccar's position forwarding: a JSON object with a position and its device.

`position.id` is 0 there, so that a ping is known by the device's `uniqueId` and `fixTime`.
"""

from typing import Any

from app.instants import ABSENT, INVALID
from app.intake.formats.position import (
    KNOT_MPS,
    Position,
    accuracy,
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


def decode(body: bytes) -> Position:
    """The position of a forwarded message. Raises Unreadable.

    Source: Traccar (2026), documentation of `forward.url` and class Position: speed in knots,
    accuracy 0 where the device states none.
    """
    whole = json_object(body)
    position = member(whole, "position")
    device = member(whole, "device")
    return Position(
        identifier=identifier_of(device.get("uniqueId")),
        time_us=_time_us(position.get("fixTime")),
        lat=degrees(position.get("latitude"), "latitude"),
        lon=degrees(position.get("longitude"), "longitude"),
        speed_mps=measure(position.get("speed"), KNOT_MPS),
        heading_deg=heading(position.get("course")),
        accuracy_m=accuracy(position.get("accuracy")),
        valid=position.get("valid") is not False,
    )


def _time_us(value: Any) -> int:
    """A text with an offset, or the milliseconds that older versions send."""
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return written_us(value)
    milliseconds = number(value)
    return seconds_us(milliseconds / 1000) if milliseconds == milliseconds else INVALID
