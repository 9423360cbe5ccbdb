"""OwnTracks over HTTP: JSON objects of several types, of which `location` is a position."""

from app.instants import ABSENT, INVALID
from app.intake.formats.position import (
    KMH_MPS,
    Position,
    accuracy,
    degrees,
    heading,
    identifier_of,
    json_object,
    measure,
    number,
    seconds_us,
)


def decode(body: bytes) -> Position | None:
    """The position of a message; None for the other types of message. Raises Unreadable.

    Source: OwnTracks (2026), Booklet, `_type=location`: tst in Unix seconds, vel in km/h.
    """
    message = json_object(body)
    if message.get("_type") != "location":
        return None
    sent = message.get("tst")
    seconds = number(sent)
    return Position(
        identifier=identifier_of(message.get("topic"), message.get("tid")),
        time_us=ABSENT if sent is None else seconds_us(seconds) if seconds == seconds else INVALID,
        lat=degrees(message.get("lat"), "lat"),
        lon=degrees(message.get("lon"), "lon"),
        speed_mps=measure(message.get("vel"), KMH_MPS),
        heading_deg=heading(message.get("cog")),
        accuracy_m=accuracy(message.get("acc")),
    )
