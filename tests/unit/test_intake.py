"""Each item of a body is accepted, or refused by the first of its flaws, alone."""

import json
from typing import Any

import pytest

from app import intake
from app.checks import CODES, Limits
from app.errors import BadInput, TooLarge
from app.intake import Refused, decoded_pings, read_incidents, summed
from app.intake.accept import Batch
from app.shifts import DAY_US

NOW_S = 1_700_000_000
LIMITS = Limits(NOW_S * 10**6, retention_days=30)
PING: dict[str, Any] = {"unit_id": "A-7", "time": NOW_S, "lat": 49.25, "lon": -123.1}
INCIDENT: dict[str, Any] = {
    "incident_id": "2023-1",
    "occurred_from": NOW_S - 60,
    "lat": 49.25,
    "lon": -123.1,
    "category": "THEFT",
}
DROP = object()


def read_pings(
    body: bytes, media_type: str | None, encoding: str | None, limits: Limits
) -> Batch[Any]:
    return intake.read_pings([decoded_pings(body, media_type, encoding)], limits)


def pings(items: Any, lines: bool = False) -> Batch[Any]:
    if lines:
        body = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items)
        return read_pings(body.encode(), "application/x-ndjson", None, LIMITS)
    return read_pings(json.dumps(items).encode(), "application/json", None, LIMITS)


def errors(batch: Batch[Any]) -> list[tuple[int, str, str | None]]:
    return [(index, flaw.code, flaw.field) for index, flaw in batch.refused[0].first]


def changed(item: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {name: value for name, value in (item | members).items() if value is not DROP}


PING_FLAWS = [
    (changed(PING, unit_id=DROP), "missing_field", "unit_id"),
    (changed(PING, lat=DROP, lon=DROP), "missing_field", "lat"),
    (changed(PING, time=DROP), "missing_field", "time"),
    (changed(PING, speed=3), "unknown_field", "speed"),
    (changed(PING, unit_id=""), "malformed", "unit_id"),
    (changed(PING, unit_id=" A"), "malformed", "unit_id"),
    (changed(PING, unit_id="A\u00a0"), "malformed", "unit_id"),
    (changed(PING, unit_id="A\0B"), "malformed", "unit_id"),
    (changed(PING, unit_id="\ud800"), "malformed", "unit_id"),
    (changed(PING, unit_id="A" * 65), "malformed", "unit_id"),
    (changed(PING, unit_id="A" * 2_000_000), "malformed", "unit_id"),
    (changed(PING, unit_id=7), "malformed", "unit_id"),
    (changed(PING, unit_id=None), "malformed", "unit_id"),
    (changed(PING, lat="49.25"), "malformed", "lat"),
    (changed(PING, lat=True), "malformed", "lat"),
    (changed(PING, lat=float("nan")), "malformed", "lat"),
    (changed(PING, lon=float("-inf")), "malformed", "lon"),
    (changed(PING, lon=[1]), "malformed", "lon"),
    (changed(PING, speed_mps=-0.1), "malformed", "speed_mps"),
    (changed(PING, heading_deg=360.1), "malformed", "heading_deg"),
    (changed(PING, heading_deg=-1), "malformed", "heading_deg"),
    (changed(PING, accuracy_m=-1), "malformed", "accuracy_m"),
    (changed(PING, accuracy_m="5"), "malformed", "accuracy_m"),
    (changed(PING, status="parked"), "malformed", "status"),
    (changed(PING, time=True), "malformed", "time"),
    (changed(PING, time={}), "malformed", "time"),
    (changed(PING, lat=90.0001), "lat_out_of_range", "lat"),
    (changed(PING, lon=-180.0001), "lon_out_of_range", "lon"),
    (changed(PING, lat=0, lon=-0.0), "null_island", None),
    (changed(PING, time="2023-11-14T22:13:20"), "time_invalid", "time"),
    (changed(PING, time=NOW_S * 1000), "time_invalid", "time"),
    (changed(PING, time=str(NOW_S)), "time_invalid", "time"),
    (changed(PING, time="0001-01-01T00:00:00+14:00"), "time_invalid", "time"),
    (changed(PING, time="9999-12-31T23:59:59-14:00"), "time_invalid", "time"),
    (changed(PING, time="２０23-11-14T22:13:20Z"), "time_invalid", "time"),
    (changed(PING, time=NOW_S + 300.000001), "in_future", "time"),
    (changed(PING, time=NOW_S - 30 * 86_400 - 1), "too_old", "time"),
    (1, "malformed", None),
    (None, "malformed", None),
    ([PING], "malformed", None),
]


@pytest.mark.parametrize(("item", "code", "field"), PING_FLAWS)
def test_one_flaw_one_code_and_the_neighbours_stay(item: Any, code: str, field: str | None) -> None:
    for lines in (False, True):
        batch = pings([PING, item, changed(PING, unit_id="B")], lines)
        assert errors(batch) == [(1, code, field)]
        assert batch.index.tolist() == [0, 2]
        assert batch.columns.unit_id.texts() == ["A-7", "B"]


@pytest.mark.parametrize(
    "item",
    [
        PING,
        changed(PING, unit_id="車 7"),  # printable is not ASCII
        changed(PING, unit_id="A" * 64),
        changed(PING, lat=-90, lon=180),
        changed(PING, lat=0, lon=0.00001),
        changed(PING, time=NOW_S + 300),
        changed(PING, time=NOW_S - 30 * 86_400),
        changed(PING, time="2023-11-14 23:13:20.000001+01:00"),
        changed(PING, speed_mps=0, heading_deg=360, accuracy_m=0, status="on_scene"),
        changed(PING, speed_mps=None, heading_deg=None, accuracy_m=None, status=None),
    ],
)
def test_what_is_accepted(item: dict[str, Any]) -> None:
    assert errors(pings(item)) == []
    assert len(pings([item]).columns) == 1


def test_the_first_flaw_counts_in_the_order_of_the_codes() -> None:
    item = changed(PING, unit_id=7, lat=DROP, speed=1, lon=181, time="x")
    found = []
    for repair in ({"unit_id": "A"}, {"lat": 91}, {"speed": DROP}, {"lat": 1}, {"lon": 1}, {}):
        found += [code for _, code, _ in errors(pings([item]))]
        item = changed(item, **repair)
    assert found == [
        "malformed",
        "missing_field",
        "unknown_field",
        "lat_out_of_range",
        "lon_out_of_range",
        "time_invalid",
    ]
    assert found == [code for code in CODES if code in found]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"lat": ' + "9" * 5_000, "lat_out_of_range"),
        ('"lat": 1e999', "lat_out_of_range"),
        ('"time": ' + "9" * 5_000, "time_invalid"),
        ('"time": ' + "9" * 30, "time_invalid"),
        ('"speed_mps": 1e999', "malformed"),
        ('"unit_id": "\\ud800"', "malformed"),
        ('"time": "2023-11-14T22:13:20Z\\ud800"', "malformed"),
        ('"x": ' + "[" * 5_000 + "]" * 5_000, "malformed"),
        ('"x": ' + '{"a":' * 5_000 + "1" + "}" * 5_000, "malformed"),
        ('"\\ud800\\u0000": 1', "unknown_field"),
    ],
)
def test_what_usually_brings_a_service_down(text: str, code: str) -> None:
    item = json.dumps(PING)[:-1] + ", " + text + "}"
    good = json.dumps(PING)
    for body, media in (
        (f"[{good},{item},{good}]", None),
        (f"{item}\n{good}", "application/x-ndjson"),
    ):
        batch = read_pings(body.encode(), media, None, LIMITS)
        assert [c for _, c, _ in errors(batch)] == [code]
        assert json.dumps(batch.refused[0].receipt(batch.received[0], 0).as_dict())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b"null",
        b'"x"',
        b"[",
        b"[1,]",
        b"[,]",
        b"{",
        b"[{]}",
        b'{"unit_id": "A"}{"unit_id": "B"}',
        b'[{"unit_id": "A"} {"unit_id": "B"}]',
        b"[{'unit_id': 1}]",
        b'[{"unit_id": "\xff"}]',
        b'[{"unit_id": "\xed\xa0\x80"}]',  # half a surrogate pair in bytes is no UTF-8
        "[1]".encode("utf-16"),
        b"[" * 5_000,
    ],
)
def test_a_body_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadInput):
        read_pings(body, "application/json", None, LIMITS)


def test_a_line_that_is_no_json_is_malformed_alone() -> None:
    batch = pings([PING, "{", json.dumps(PING) * 2, "\xff", "", "NaN", PING], lines=True)
    assert [index for index, _, _ in errors(batch)] == [1, 2, 3, 4]
    assert {code for _, code, _ in errors(batch)} == {"malformed"}
    assert batch.index.tolist() == [0, 5]  # the blank line is no item
    assert read_pings(b"\n\n", "application/x-ndjson", None, LIMITS).received == (0,)


def test_too_many_items() -> None:
    for items in ([PING] * 10_001, [1] * 10_001):
        with pytest.raises(TooLarge):
            pings(items)


def test_a_thousand_pings_of_which_fifteen_are_bad() -> None:
    items = [changed(PING, time=NOW_S - k) for k in range(985)]
    items += [changed(PING, lat=91)] * 10 + [changed(PING, time=NOW_S + 3_600)] * 5
    batch = pings(items)
    assert (batch.received[0], len(batch.columns), batch.refused[0].count) == (1_000, 985, 15)
    assert [code for _, code, _ in errors(batch)] == ["lat_out_of_range"] * 10 + ["in_future"] * 5


def test_no_age_limit_without_retention() -> None:
    old = json.dumps(changed(PING, time="0001-01-01T00:00:00Z")).encode()
    assert len(read_pings(old, None, None, Limits(NOW_S * 10**6)).columns) == 1


def test_columns() -> None:
    items = [changed(PING, speed_mps=3.5, status="busy", lat=-0.0), changed(PING, time=NOW_S + 0.5)]
    columns = pings(items).columns
    assert columns.time_us.tolist() == [NOW_S * 10**6, NOW_S * 10**6 + 500_000]
    assert columns.speed_mps.tolist()[0] == 3.5
    assert str(columns.speed_mps[1]) == "nan"
    assert columns.status.tolist() == [4, -1]  # busy is the fifth status; none was sent
    assert str(columns.lat[0]) == "0.0"  # minus zero is zero


INCIDENT_FLAWS = [
    (changed(INCIDENT, incident_id="x" * 129), "malformed", "incident_id"),
    (changed(INCIDENT, incident_id="a\nb"), "malformed", "incident_id"),
    (changed(INCIDENT, incident_id=5), "malformed", "incident_id"),
    (changed(INCIDENT, category=""), "malformed", "category"),
    (changed(INCIDENT, category="  "), "malformed", "category"),
    (changed(INCIDENT, category="A\0"), "malformed", "category"),
    (changed(INCIDENT, category="A" * 257), "malformed", "category"),
    (changed(INCIDENT, category=None), "malformed", "category"),
    (changed(INCIDENT, municipality="\x7f"), "malformed", "municipality"),
    (changed(INCIDENT, source="press"), "malformed", "source"),
    (changed(INCIDENT, category=DROP), "missing_field", "category"),
    (changed(INCIDENT, incident_id=DROP), "missing_field", "incident_id"),
    (changed(INCIDENT, occurred_at=1), "unknown_field", "occurred_at"),
    (changed(INCIDENT, lat=0, lon=0), "null_island", None),
    (changed(INCIDENT, occurred_from="yesterday"), "time_invalid", "occurred_from"),
    (changed(INCIDENT, occurred_to="2023"), "time_invalid", "occurred_to"),
    (changed(INCIDENT, reported_at=NOW_S * 1000), "time_invalid", "reported_at"),
    (changed(INCIDENT, occurred_to=NOW_S - 61), "time_invalid", "occurred_to"),
    (changed(INCIDENT, occurred_from=NOW_S + 301), "in_future", "occurred_from"),
    (changed(INCIDENT, reported_at=NOW_S + 301), "in_future", "reported_at"),
]


@pytest.mark.parametrize(("item", "code", "field"), INCIDENT_FLAWS)
def test_flaws_of_incidents(item: dict[str, Any], code: str, field: str | None) -> None:
    batch = read_incidents(json.dumps([INCIDENT, item]).encode(), None, None, LIMITS)
    assert errors(batch) == [(1, code, field)]
    assert batch.columns.incident_id.tolist() == ["2023-1"]


@pytest.mark.parametrize(
    "item",
    [
        changed(INCIDENT, occurred_from="1871-07-20T00:00:00Z"),  # no age limit
        changed(INCIDENT, occurred_to=NOW_S - 60),  # at once
        changed(INCIDENT, occurred_to=NOW_S + DAY_US // 10**6),  # may still go on
        changed(INCIDENT, occurred_to=None, reported_at=None, source=None, municipality=None),
        changed(INCIDENT, category="Vol / Diebstahl, §242", final_category=" x "),
    ],
)
def test_incidents_that_are_accepted(item: dict[str, Any]) -> None:
    assert errors(read_incidents(json.dumps(item).encode(), None, None, LIMITS)) == []


def test_a_receipt_shows_a_hundred_errors_in_order() -> None:
    batch = pings([changed(PING, lat=91) if k % 2 else 1 for k in range(202)])
    receipt = batch.refused[0].receipt(batch.received[0], 0)
    assert [error.index for error in receipt.errors] == list(range(100))
    assert (receipt.received, receipt.rejected, receipt.errors_truncated) == (202, 202, True)
    assert receipt.http_status == 422
    assert not pings([1] * 100).refused[0].receipt(100, 0).errors_truncated


def test_receipts_of_pieces_add_up() -> None:
    first = pings([PING, 1]).refused[0].receipt(2, accepted=1)
    second = Refused().receipt(3, accepted=1)
    assert summed([first, second]).as_dict() == {
        "received": 5,
        "accepted": 2,
        "duplicate": 2,
        "rejected": 1,
        "errors": [
            {
                "index": 1,
                "code": "malformed",
                "field": None,
                "message": "an item must be a JSON object",
            }
        ],
        "errors_truncated": False,
    }
    assert (first.http_status, second.http_status, Refused().receipt(0, 0).http_status) == (
        207,
        200,
        200,
    )
