"""Whatever a device sends, a decoder gives positions or says that it cannot read it."""

import json
import math
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.checks import CODES, Flaw
from app.instants import ABSENT, INVALID
from app.intake.formats import nmea, osmand, owntracks, taip, traccar
from app.intake.formats.position import Position, Unreadable, flaw_of, nearest_day_us
from app.intake.heard import decoded_positions
from app.shifts import DAY_US

NOW_US = 1_704_283_200_000_000

anything = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["location", "2024-01-03T12:00:00Z", "1e999", "９", "\ud800", [], {}])
)
NAMES = (
    *("fixTime", "latitude", "longitude", "speed", "course", "accuracy", "valid", "uniqueId"),
    *("id", "deviceid", "lat", "lon", "location", "timestamp", "bearing", "heading", "hdop"),
    *("device_id", "_type", "tst", "vel", "acc", "cog", "topic", "tid", "coords"),
)
members = st.sampled_from(NAMES)
objects = st.dictionaries(members, anything, max_size=6)
bodies = (
    st.binary(max_size=60)
    | objects.map(lambda found: json.dumps(found).encode())
    | st.builds(
        lambda position, device: json.dumps({"position": position, "device": device}).encode(),
        objects,
        objects,
    )
    | st.builds(
        lambda location, coords: json.dumps({"location": location | {"coords": coords}}).encode(),
        objects,
        objects,
    )
)
near_taip = st.from_regex(
    r"\A\r?\n?>?R(PV|EV|GP|CQ\d\d|BR\d\d|US\d\d,|UV\d{5},NT003,)[-+0-9]{0,50}(;ID=.{0,9})?"
    r"(;\*[0-9A-F]{2})?<?\Z"
)
near_nmea = st.from_regex(
    r"\A(.{0,5})\$(GP|GN)?(RMC|GGA|GLL|GNS|PUBX,00),"
    r"([0-9]{6}(\.[0-9]+)?)?,[AV]?,?[0-9.]{0,9},[NS]?,[0-9.]{0,9},[EW]?,([0-9.]{0,6},){0,6}"
    r"(\*[0-9A-F]{2})?\Z"
)


def fine(found: Position | None) -> None:
    """What every position keeps to, so that it can be checked and stored as it is."""
    if found is None:
        return
    assert found.identifier is None or isinstance(found.identifier, str)
    assert isinstance(found.time_us, int)
    assert found.time_us in (ABSENT, INVALID) or abs(found.time_us) < 3e17
    for value in (found.speed_mps, found.accuracy_m):
        assert math.isnan(value) or 0 <= value < math.inf
    assert math.isnan(found.heading_deg) or 0 <= found.heading_deg <= 360
    decoded = decoded_positions([found], {})
    assert len(decoded.items) + len(decoded.broken) == 1


def tried(decode: Callable[..., Any], *given_: Any) -> Any:
    """What a decoder gives, or the flaw it finds; nothing else may come out of it."""
    try:
        return decode(*given_)
    except Unreadable as error:
        return error.flaw


def fine_or_flawed(found: Any) -> None:
    if isinstance(found, Flaw):
        assert found.code in CODES
        assert flaw_of(found) == found
    else:
        fine(found)


@given(bodies)
def test_any_body_is_a_position_or_unreadable(body: bytes) -> None:
    for decode in (traccar.decode, osmand.decode_json, owntracks.decode):
        fine_or_flawed(tried(decode, body))


@given(st.dictionaries(members, st.text(max_size=12) | st.integers().map(str)), st.binary())
def test_any_query_is_a_position_or_unreadable(fields: dict[str, str], body: bytes) -> None:
    fine_or_flawed(tried(osmand.decode, fields, NOW_US))
    form = tried(osmand.form_fields, body)
    assert isinstance(form, dict | Flaw)


@given(st.binary(max_size=80) | near_taip.map(lambda text: text.encode(errors="replace")))
def test_any_datagram_is_taip_or_unreadable(data: bytes) -> None:
    messages = tried(taip.messages_of, data)
    for message in messages if isinstance(messages, list) else ():
        fine_or_flawed(tried(taip.decode, message, NOW_US))


@given(
    st.lists(
        st.binary(max_size=80) | near_nmea.map(lambda text: text.encode(errors="replace")),
        max_size=4,
    )
)
def test_any_datagram_is_heard_as_nmea(lines: list[bytes]) -> None:
    found, memory = nmea.decode(b"\r\n".join(lines), nmea.Memory(), NOW_US)
    for position in found.positions:
        fine(position)
    assert memory.identifier is None or memory.identifier


@given(st.integers(0, DAY_US), st.integers(0, 4 * 10**15))
def test_the_nearest_day_is_within_half_a_day(of_day_us: int, received_us: int) -> None:
    found = nearest_day_us(of_day_us, received_us)
    assert abs(found - received_us) <= DAY_US // 2
    assert (found - of_day_us) % DAY_US == 0


def test_deep_nesting_is_unreadable() -> None:
    for decode in (traccar.decode, osmand.decode_json, owntracks.decode):
        assert isinstance(tried(decode, b'{"a":' * 100_000), Flaw)
