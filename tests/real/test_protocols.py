"""Real messages of other projects' tests, decoded, beside what those projects make of them.

Where we differ, `docs/formats.md` says why; here each exception is counted.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest

from app.instants import rfc3339_us
from app.intake.formats import nmea, osmand, owntracks, taip
from app.intake.formats.nmea import Memory, Sentence
from app.intake.formats.position import ERA_US, Position, Unreadable
from tests.real import san_francisco

DATA = san_francisco.DATA / "avl_protocol_samples"
BINARY = DATA / "nmea_gpsd" / "bu303-moving.log"  # SiRF's own protocol, between NMEA in its check
LOGS = sorted((DATA / "nmea_gpsd").glob("*.log"))
NOW_US = 1_787_000_000_000_000  # August 2026, when the messages were collected

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the published data is not in {DATA}"),
]

# Messages that the other project takes for a position, by their beginning, and why we do not.
NOT_OURS = {
    ">RPV00000+3739438": "the checksum is wrong",
    "$PUBX,00,130209.00": "the checksum is wrong",
    "$GPRMC,073446.000": "the checksum is wrong",
    "$GPGGA,000000.0,4337": "the checksum is wrong",
    "$GPGGA,000000,4807": "the checksum is wrong",
    "$GPGGA,000000.000,6010": "the checksum is wrong",
    "$GPRMA,V,0000.00": "the checksum is wrong",
    "QZE,868994033976700": "one maker's own format",
    "$TRCCR,2014011100": "one maker's own format",
    "$ID,355826017981316": "one maker's own format",
    "$GPFID,ID123456ABC": "names its sender; the position came with the message before",
}
# Those that it takes for none, because its test sends them before the sender is known.
OURS = ("$GPRMC,012006,A,4828.10",)


def messages(name: str) -> list[dict[str, Any]]:
    path = DATA / f"{name}_messages.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_expected(found: Position | None, message: dict[str, Any]) -> None:
    expected = message.get("expected")
    if expected is None:
        return
    assert found is not None
    moment = datetime.fromisoformat(expected["fix_time_utc"]).replace(tzinfo=UTC)
    assert found.time_us == round(moment.timestamp() * 1e6)
    assert (found.lat, found.lon) == pytest.approx((expected["lat"], expected["lon"]), abs=1e-9)
    assert found.valid is expected["valid"]


def decoded_taip(text: str) -> Position | None:
    try:
        (message,) = taip.messages_of(text.encode())
        return taip.decode(message, NOW_US)
    except Unreadable:
        return None


def decoded_nmea(text: str) -> Position | None:
    found, _ = nmea.decode(text.encode(), Memory(), NOW_US)
    return found.positions[0] if found.positions else None


@pytest.mark.parametrize(("name", "decode"), [("taip", decoded_taip), ("t55", decoded_nmea)])
def test_messages_of_boxes(name: str, decode: Any) -> None:
    for message in messages(name):
        text = message["message"]
        found = decode(text)
        check_expected(found, message)
        if any(text.strip().startswith(start) for start in NOT_OURS):
            assert found is None, text
        elif message["expect"] in ("position", "verifyNotNull"):
            assert found is not None, text
            assert abs(found.lat) <= 90
            assert abs(found.lon) <= 180
        elif message["expect"] == "no_position" and not text.startswith(OURS):
            assert found is None, text


def test_a_position_of_old_is_not_taken_for_a_new_one() -> None:
    """Those of the samples that the device itself calls older than its fix, or without one."""
    stale = [
        message["message"].strip()[:14]
        for name, decode in (("taip", decoded_taip), ("t55", decoded_nmea))
        for message in messages(name)
        if (found := decode(message["message"])) is not None and not found.valid
    ]
    assert Counter(text[:4] for text in stale) == {">RUS": 1, ">RUV": 3, "1234": 1}


def parts(literals: list[str]) -> tuple[str, bytes]:
    """The query and the body of an HTTP request in the samples."""
    query = urlsplit(literals[0]).query
    body = next((text for text in literals[1:] if text.startswith("{")), "")
    return query, body.encode()


def test_messages_of_osmand() -> None:
    for message in messages("osmand"):
        query, body = parts(message["literals"])
        found = (
            osmand.decode_json(body)
            if body
            else osmand.decode(dict(parse_qsl(query, keep_blank_values=True)), NOW_US)
        )
        check_expected(found, message)
        assert (found.identifier is None) == (message["expect"] == "no_position"), query
        # Without a place: cells of the mobile network alone, which we do not look up.
        assert math.isnan(found.lat) == (
            "lat" not in query and "60.0,30.0" not in query and not body
        )


def test_messages_of_owntracks() -> None:
    for message in messages("owntracks"):
        _, body = parts(message["literals"])
        found = owntracks.decode(body)
        check_expected(found, message)
        assert found is not None
        assert found.identifier
        assert found.time_us > 0


class Line(NamedTuple):
    """A line of a receiver, what it says, and what gpsd knew after it (its next report, if any)."""

    text: str
    said: Sentence | None
    report: dict[str, Any] | None


def lines_of(log: Path) -> Iterator[Line]:
    """The sentences of a log as gpsd's reference has them, each with the report of its epoch.

    gpsd reports an epoch once, behind the sentence that it takes for the last one.
    """
    text = log.with_suffix(".log.chk").read_text(encoding="latin-1").splitlines()
    waiting: list[tuple[str, Sentence | None]] = []
    for line in text:
        if line.startswith("$"):
            said = nmea.sentence_of(line.encode())
            if said is not None and said.kind != "ID":
                new = waiting and waiting[-1][1].time_of_day_us != said.time_of_day_us
                if new:
                    yield from (Line(*each, None) for each in waiting)
                    waiting = []
                waiting.append((line, said))
        elif line.startswith('{"class":"TPV"'):
            yield from (Line(*each, json.loads(line)) for each in waiting)
            waiting = []
    yield from (Line(*each, None) for each in waiting)


def has_fix(report: dict[str, Any]) -> bool:
    return report["mode"] >= 2 and "lat" in report


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_sentences_agree_with_gpsd(log: Path) -> None:
    """Every report of gpsd about an epoch says the same as each of its sentences does to us."""
    compared = 0
    odd: list[str] = []
    for line in lines_of(log):
        said, report = line.said, line.report
        if said is None or report is None or said.kind == "ID":
            continue
        if has_fix(report) != said.valid:
            odd.append(line.text[:20])
            continue
        if said.valid:
            compared += 1
            # gpsd writes nine decimals. Of a binary receiver it writes the NMEA itself, with four
            # decimals of a minute and one of a knot and a degree.
            degrees = 0.0000501 / 60 if log == BINARY else 1.1e-9
            assert said.lat == pytest.approx(report["lat"], abs=degrees), line.text
            assert said.lon == pytest.approx(report["lon"], abs=degrees), line.text
            if log != BINARY:
                check_motion(said, report)
            check_time(said, report)
    assert odd == DISAGREE.get(log.stem, []), odd
    assert compared >= AT_LEAST.get(log.stem, 17)


# gpsd takes a simulator for a receiver; looks at the number of satellites (00) or at what it knew
# before, where a receiver says that it has a fix, or none. See docs/formats.md.
DISAGREE = {
    "GPSmap-76S": ["$GPGGA,125106,3854.5"],
    "haicom-305N": ["$GPGGA,095304.802,27"],
    "mtk-3301": ["$GPGGA,081434.590,52"],
}
AT_LEAST = {"GPSmap-76S": 0, "mtk-3301": 7, "tomtom-mkII": 8, "telit-he910": 561}


def check_motion(said: Sentence, report: dict[str, Any]) -> None:
    if "speed" in report and not math.isnan(said.speed_mps):
        assert said.speed_mps == pytest.approx(report["speed"], abs=0.00051)
    if "track" in report and not math.isnan(said.heading_deg):
        assert said.heading_deg == pytest.approx(report["track"], abs=0.00006)


def check_time(said: Sentence, report: dict[str, Any]) -> None:
    """gpsd moves dates by 1024 weeks that lie before its own last change of leap seconds."""
    if "time" not in report or said.day_us is None:
        return
    theirs = int(rfc3339_us(pa.array([report["time"]]))[0])
    assert theirs - (said.day_us + said.time_of_day_us) in (0, ERA_US)


@pytest.mark.parametrize("log", [log for log in LOGS if log != BINARY], ids=lambda log: log.stem)
def test_every_line_of_a_receiver_is_understood(log: Path) -> None:
    """Each epoch with a fix is one position; nothing is refused."""
    lines = [line for line in log.read_bytes().splitlines() if not line.startswith(b"#")]
    memory = Memory()
    times: list[int] = []
    for group in epochs_of(lines):
        found, memory = nmea.decode(b"\n".join(group), memory, NOW_US)
        assert not found.flaws, group
        times += [position.time_us for position in found.positions if position.valid]
    assert len(times) >= (0 if log.stem == "GPSmap-76S" else 3)
    assert len(set(times)) >= len(times) - 1


def test_what_is_no_nmea_gives_no_position() -> None:
    found, _ = nmea.decode(BINARY.read_bytes(), Memory(), NOW_US)
    assert found.positions == []
    assert found.flaws


def epochs_of(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Lines in groups, each of which begins with the same kind of sentence as the first."""
    first = next((line[3:6] for line in lines if line.startswith(b"$G")), b"")
    group: list[bytes] = []
    for line in lines:
        if line[3:6] == first and group:
            yield group
            group = []
        group.append(line)
    yield group
