"""Whatever arrives, every item is accounted for, and nothing but a foreseen error comes out."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from app import intake
from app.checks import CODES, Limits
from app.errors import BadInput
from app.instants import rfc3339_us, unix_us
from app.intake import Batch, decoded_pings, read_incidents
from app.intake.body import array_of

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LIMITS = Limits(int(NOW.timestamp()) * 10**6, 30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["A", "2024-05-01T00:00:00Z", "busy", "officer", " ", "\0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
names = st.sampled_from(
    ["unit_id", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "status"]
)
good_pings = st.fixed_dictionaries(
    {
        "unit_id": st.sampled_from(["A", "B", "車"]),
        "time": st.integers(0, 86_400).map(lambda s: int(NOW.timestamp()) - s)
        | st.integers(0, 86_400).map(lambda s: (NOW - timedelta(seconds=s)).isoformat()),
        "lat": st.floats(1, 90),
        "lon": st.integers(-180, 180),
    },
    optional={
        "speed_mps": st.none() | st.floats(0, 100),
        "heading_deg": st.floats(0, 360),
        "accuracy_m": st.floats(0, 100),
        "status": st.sampled_from(["available", "busy"]),
    },
)
odd_pings = st.builds(lambda ping, odd: ping | odd, good_pings, st.dictionaries(names, anything))
bodies = st.binary(max_size=60) | st.text(alphabet='[]{},:"\\ \n01eE+-.ntrufalse', max_size=60).map(
    str.encode
)


def read_pings(
    body: bytes, media_type: str | None, encoding: str | None, limits: Limits
) -> Batch[Any]:
    return intake.read_pings([decoded_pings(body, media_type, encoding)], limits)


def ndjson(items: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, items)).encode()


@given(st.lists(good_pings | odd_pings | anything, max_size=8))
def test_every_item_is_accounted_for(items: list[Any]) -> None:
    for read in (read_pings, read_incidents):
        array = read(json.dumps(items).encode(), "application/json", None, LIMITS)
        lines = read(ndjson(items), "application/x-ndjson", None, LIMITS)
        for batch in (array, lines):
            assert batch.received[0] == len(items) == len(batch.columns) + batch.refused[0].count
            refused = [index for index, _ in batch.refused[0].first]
            assert sorted([*batch.index.tolist(), *refused]) == list(range(len(items)))
            assert refused == sorted(refused)
            assert all(flaw.code in CODES for _, flaw in batch.refused[0].first)
            json.dumps(batch.refused[0].receipt(batch.received[0], 0).as_dict()).encode()
        assert array.refused == lines.refused


@given(st.lists(good_pings, min_size=1, max_size=8), odd_pings | anything)
def test_a_bad_item_changes_nothing_for_the_others(items: list[Any], odd: Any) -> None:
    alone = read_pings(json.dumps(items).encode(), None, None, LIMITS)
    beside = read_pings(json.dumps([*items, odd]).encode(), None, None, LIMITS)
    assert alone.refused[0].count == 0
    n = len(items)
    assert beside.columns.unit_id[:n].texts() == alone.columns.unit_id.texts()
    for name in ("time_us", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "status"):
        assert getattr(beside.columns, name)[:n].tobytes() == getattr(alone.columns, name).tobytes()


@given(bodies, st.sampled_from(["application/json", "application/x-ndjson"]))
def test_any_bytes_are_a_batch_or_bad_input(body: bytes, media_type: str) -> None:
    for encoding, sent in ((None, body), ("gzip", body), ("gzip", gzip.compress(body))):
        try:
            batch = read_pings(sent, media_type, encoding, LIMITS)
        except BadInput:
            continue
        assert batch.received[0] == len(batch.columns) + batch.refused[0].count


@given(st.lists(anything, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_an_array_is_cut_as_json_says(items: list[Any], indent: int | None, ascii_: bool) -> None:
    if not ascii_:
        items = [item for item in items if "\\ud" not in json.dumps(item)]
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_).encode()
    assert [json.dumps(json.loads(part)) for part in array_of(text)] == [
        json.dumps(item) for item in items
    ]


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001  given a zone below
    st.integers(-1439, 1439),
)
def test_a_time_is_the_same_instant_in_every_notation(moment: datetime, minutes: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (there - EPOCH) // timedelta(microseconds=1)
    texts = [there.isoformat(), there.isoformat(" "), there.isoformat().replace("T", "t")]
    texts.append(there.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z")
    assert set(rfc3339_us(pa.array(texts)).tolist()) == {expected}


@given(st.integers(-(10**15), 10**15))
def test_unix_seconds_are_exact_to_the_microsecond(us: int) -> None:
    # A float64 holds 10^9 seconds to a quarter of a microsecond.
    assert unix_us(pa.array([us / 1e6]).to_numpy()).tolist() == [us]
