"""Messages of devices, as their makers document them, in our units."""

import json
import math
from typing import Any

import pytest

from app.checks import MALFORMED, TIME_INVALID
from app.instants import ABSENT, INVALID
from app.intake.formats import nmea, osmand, owntracks, taip, traccar
from app.intake.formats.nmea import Memory
from app.intake.formats.position import (
    ERA_US,
    Position,
    Unreadable,
    in_this_era_us,
    nearest_day_us,
    seconds_us,
    written_us,
)
from app.shifts import DAY_US, HOUR_US

DAY_19725_US = 19_725 * DAY_US  # 2024-01-03
NOON_US = DAY_19725_US + 12 * HOUR_US


def test_the_example_of_the_taip_manual() -> None:
    (message,) = taip.messages_of(b">RPV15714+3739438-1220384601512612;ID=1234;*7F<")
    found = taip.decode(message, DAY_19725_US + 5 * HOUR_US)
    # 15,714 s are 04:21:54; 15 mph are 15 times 1,609.344 m in 3,600 s.
    assert found == Position(
        "1234", DAY_19725_US + 15_714_000_000, 37.39438, -122.03846, 15 * 0.44704, 126
    )


@pytest.mark.parametrize(
    ("second", "received_us", "day"),
    [
        (86_399, NOON_US - 11 * HOUR_US, 19_724),  # 23:59:59 heard at 01:00: of yesterday
        (1, NOON_US + 11 * HOUR_US, 19_726),  # 00:00:01 heard at 23:00: a clock ahead
        (43_199, NOON_US, 19_725),
        (0, NOON_US + 11 * HOUR_US + 59 * 60_000_000, 19_726),
    ],
)
def test_a_time_without_a_date_is_the_nearest(second: int, received_us: int, day: int) -> None:
    assert nearest_day_us(second * 1_000_000, received_us) == day * DAY_US + second * 1_000_000


def test_a_count_of_weeks_that_overflowed() -> None:
    assert in_this_era_us(NOON_US - ERA_US, NOON_US) == NOON_US
    assert in_this_era_us(NOON_US - 2 * ERA_US - 7 * DAY_US, NOON_US) == NOON_US - 7 * DAY_US
    assert in_this_era_us(NOON_US - ERA_US + HOUR_US, NOON_US) == NOON_US + HOUR_US
    for days in (0, 30, 40, 3_650, -2):  # late, old or ahead, but no overflow
        assert in_this_era_us(NOON_US - days * DAY_US, NOON_US) == NOON_US - days * DAY_US


def test_taip_in_its_dialects() -> None:
    def decode(message: str) -> Position:
        found = taip.decode(message, NOON_US)
        assert found is not None
        return found

    # Week 2295 began on Sunday 31 December 2023; three days later is 3 January.
    event = decode("REV012295343200+1000000-0100000002035512;ID=356612022463055")
    assert (event.time_us, event.lat, event.lon) == (NOON_US, 10, -10)
    dated = decode("RGP030124120000-3852.9306-06204.88560050003000101;ID=5555")
    # 52.9306 minutes are 0.882177 degrees.
    assert (dated.time_us, dated.lat) == (NOON_US, pytest.approx(-38.882177, abs=1e-6))
    assert math.isnan(dated.speed_mps)  # mph or km/h: the makers do not agree
    assert decode("RGP030124120000-3852930-062048850000003000101").speed_mps == 0
    assert decode("RPV43200+1000000-0100000002035502").identifier is None
    assert not decode("RPV43200+1000000-0100000002035592").valid  # source 9: no fix
    assert not decode("RPV43200+1000000-0100000002035510").valid  # age 0: not available
    assert not decode("RGP030124120000-3852930-0620488500000010FF").valid
    assert taip.decode("RAL43200+00185+00012;ID=0017", NOON_US) is None


def test_both_checksums_of_taip() -> None:
    with_star = "RPV03874+3477708-0923453100029212;ID=0017;*71"
    without = "RGP230615010248-2682523-065236820000003007F4101;ID=0005;#0002;*2A"
    for message in (with_star, without):
        assert taip.decode(message, NOON_US) is not None
        with pytest.raises(Unreadable) as refused:
            taip.decode(message.replace("-", "+", 1), NOON_US)
        assert refused.value.flaw.code == MALFORMED


def test_what_is_no_taip() -> None:
    for data in (b"", b"RPV", b"\xff>RPV<"):
        with pytest.raises(Unreadable):
            taip.messages_of(data)
    assert taip.messages_of(b"\r\n>RPV1<>RAL2\r\n") == ["RPV1", "RAL2"]
    for message, code in (
        ("RPV123", MALFORMED),
        ("RPV86401+1000000-0100000002035512", TIME_INVALID),
        ("RGP300224120000-3852930-0620488500000030001", TIME_INVALID),  # 30 February
        ("RGP030124250000-3852930-0620488500000030001", TIME_INVALID),
    ):
        with pytest.raises(Unreadable) as refused:
            taip.decode(message, NOON_US)
        assert refused.value.flaw.code == code


NOTHING = Memory()


def epochs(*lines: str, memory: Memory = NOTHING) -> list[Position]:
    found, _ = nmea.decode("\r\n".join(lines).encode(), memory, NOON_US)
    assert not found.flaws
    return found.positions


RMC = "$GNRMC,115950.25,A,4430.0000,N,07948.0000,W,10.0,180.0,030124,,,A"
GGA = "$GNGGA,115950.25,4430.0000,N,07948.0000,W,1,08,2.0,100.0,M,,M,,"


def test_the_sentences_of_an_epoch_are_one_position() -> None:
    expected = Position(
        None, NOON_US - 9_750_000, 44.5, -79.8, 10 * 1852 / 3600, 180, 10
    )  # an HDOP of 2 is 10 m
    assert epochs(RMC, GGA) == epochs(GGA, RMC, "$GPGSA,A,3") == [expected]


def test_sentences_without_a_date_count_only_where_there_is_no_rmc() -> None:
    (alone,) = epochs(GGA)
    assert (alone.time_us, alone.accuracy_m) == (NOON_US - 9_750_000, 10)
    assert epochs(GGA, memory=Memory("7", sends_rmc=True)) == []
    _, memory = nmea.decode(RMC.encode(), Memory(), NOON_US)
    assert memory.sends_rmc


@pytest.mark.parametrize(
    "line",
    [
        RMC.replace(",A,44", ",V,44"),
        RMC.replace(",A", ",S").replace(",S,44", ",A,44"),  # simulated
        GGA.replace("W,1,", "W,0,"),
        GGA.replace("W,1,", "W,8,"),  # simulated
        "$GPGLL,4430.0000,N,07948.0000,W,115950,V,N",
    ],
)
def test_a_receiver_without_a_fix(line: str) -> None:
    assert [p.valid for p in epochs(line)] == [False]


@pytest.mark.parametrize(
    ("line", "identifier"),
    [
        (f"123456789{RMC}", "123456789"),
        (f"990000561287964,{RMC}", "990000561287964"),
        (f"4711/022789000688081/{RMC}", "022789000688081"),
        (f"$PSIWMDID,6Q5161694402B133*2F\r\n{RMC}", "6Q5161694402B133"),
        (f"$PCPTI,CradlePoint Test,184453,184453.0,6F*57\n{RMC}", "CradlePoint Test"),
        (f"358244017671308\n{RMC}", "358244017671308"),
        (f"$IMEI=355797031609284\n{RMC}", "355797031609284"),
    ],
)
def test_who_sends_a_sentence(line: str, identifier: str) -> None:
    assert [p.identifier for p in epochs(line)] == [identifier]


def test_two_boxes_behind_one_address_are_two() -> None:
    assert [p.identifier for p in epochs(f"A{RMC}", f"B{RMC}")] == ["A", "B"]


def test_checksums_and_values_that_cannot_be() -> None:
    good = "$GPRMC,094907.000,A,6000.5332,N,03020.5192,E,1.17,60.26,091111,,*33"
    blank = "$GPRMC,213516.0,A,4337.216791,N,11611.995877,W,0.0,335.4,181214,,,A * 72"
    assert len(epochs(good)) == len(epochs(blank)) == 1
    for line, code in (
        (good.replace("*33", "*34"), MALFORMED),
        (good.replace("*33", "").replace("6000", "60AB"), MALFORMED),
        (good.replace("*33", "").replace(",N,", ",Q,"), MALFORMED),
        (good.replace("*33", "").replace("091111", "310211"), TIME_INVALID),
        (good.replace("*33", "").replace("094907", "244907"), TIME_INVALID),
        ("no sentence", MALFORMED),
    ):
        with pytest.raises(Unreadable) as refused:
            nmea.sentence_of(line.encode())
        assert refused.value.flaw.code == code, line


def test_traccar_in_our_units() -> None:
    body = {
        "position": {
            "fixTime": "2024-01-03T07:00:00.000-0500",
            "latitude": 44.5,
            "longitude": -79.8,
            "speed": 1,
            "course": 400,
            "accuracy": 0,
            "valid": True,
        },
        "device": {"uniqueId": 77},
    }
    found = traccar.decode(json.dumps(body).encode())
    assert found[:4] == ("77", NOON_US, 44.5, -79.8)
    assert found.speed_mps == pytest.approx(1852 / 3600)
    assert math.isnan(found.heading_deg)
    assert math.isnan(found.accuracy_m)


@pytest.mark.parametrize(
    ("timestamp", "time_us"),
    [
        ("1704283200", NOON_US),
        ("1704283200000", NOON_US),
        ("1704283200.5", NOON_US + 500_000),
        ("2024-01-03T12:00:00Z", NOON_US),
        ("2024-01-03T07:00:00.250-05:00", NOON_US + 250_000),
        ("2024-01-03 12:00:00", NOON_US),  # no offset: UTC, as the protocol has it
        ("noon", INVALID),
        ("", 7),
        (None, 7),  # the moment of receipt
    ],
)
def test_the_times_of_osmand(timestamp: str | None, time_us: int) -> None:
    fields = {"id": "7", "lat": "1", "lon": "2"}
    fields |= {} if timestamp is None else {"timestamp": timestamp}
    assert osmand.decode(fields, 7).time_us == time_us


def test_osmand_in_our_units() -> None:
    fields = {"deviceid": "7", "location": "60.0,30.0", "speed": "36", "hdop": "3", "heading": "5"}
    found = osmand.decode(fields, 0)
    # 36 knots are 36 times 1852 m in 3,600 s; an HDOP of 3 is 15 m.
    assert found == Position("7", 0, 60, 30, pytest.approx(18.52), 5, 15)
    assert osmand.decode(fields | {"accuracy": "4"}, 0).accuracy_m == 4
    assert not osmand.decode(fields | {"valid": "false"}, 0).valid
    with pytest.raises(Unreadable):
        osmand.decode(fields | {"location": "６０,30"}, 0)  # full-width digits


def test_json_of_traccar_client_has_metres_per_second() -> None:
    coords: dict[str, Any] = {"latitude": 1, "longitude": 2, "speed": 3, "heading": 4}
    location = {"timestamp": "2024-01-03T12:00:00.000Z", "coords": coords | {"accuracy": 5}}
    body = {"location": location, "device_id": "7"}
    assert osmand.decode_json(json.dumps(body).encode()) == Position("7", NOON_US, 1, 2, 3, 4, 5)
    coords |= {"speed": -1, "heading": -1}
    unknown = osmand.decode_json(json.dumps(body | {"location": {"coords": coords}}).encode())
    assert unknown.time_us == ABSENT
    assert math.isnan(unknown.speed_mps)
    assert math.isnan(unknown.heading_deg)


def test_owntracks_in_our_units() -> None:
    body = {"_type": "location", "tid": "JJ", "tst": 1_704_283_200, "lat": 1, "lon": 2, "vel": 36}
    found = owntracks.decode(json.dumps(body | {"cog": 271, "acc": 5}).encode())
    assert found == Position("JJ", NOON_US, 1, 2, 10, 271, 5)  # 36 km in 3,600 s
    with_topic = owntracks.decode(json.dumps(body | {"topic": "owntracks/a/b"}).encode())
    assert with_topic is not None
    assert with_topic.identifier == "owntracks/a/b"
    assert owntracks.decode(b'{"_type": "lwt"}') is None


def test_instants_at_the_ends() -> None:
    assert written_us("2016-12-31T23:59:60Z") == written_us("2017-01-01T00:00:00Z")
    for text in ("2024-02-30T00:00:00Z", "2024-01-03T12:00:00", "0001-01-01T00:00:00+14:00"):
        assert written_us(text) == INVALID
    assert seconds_us(math.inf) == seconds_us(1e12) == INVALID
    assert seconds_us(math.nan) == ABSENT
