"""Bodies: media types, gzip, sizes, and where one item ends and the next begins."""

import gzip
import json

import pytest

from app.errors import BadInput, TooLarge, WrongMedia
from app.intake.body import MAX_BYTES, array_of, inflated, is_lines, lines_of


@pytest.mark.parametrize(
    ("media_type", "lines"),
    [
        (None, False),
        ("", False),
        ("application/json", False),
        ("Application/JSON; charset=UTF-8", False),
        ("application/x-ndjson", True),
        ('application/x-ndjson;charset="utf-8"', True),
    ],
)
def test_media_types(media_type: str | None, lines: bool) -> None:
    assert is_lines(media_type) is lines


@pytest.mark.parametrize("media_type", ["text/plain", "application/json; charset=latin-1", "x"])
def test_other_media_types(media_type: str) -> None:
    with pytest.raises(WrongMedia):
        is_lines(media_type)


def test_gzip_of_one_member_and_of_several() -> None:
    assert inflated(gzip.compress(b"[1]"), "gzip") == b"[1]"
    assert inflated(gzip.compress(b"[1,") + gzip.compress(b"") + gzip.compress(b"2]"), "GZIP") == (
        b"[1,2]"
    )
    assert inflated(b"\xef\xbb\xbf \r\n[1]\n", None) == b"[1]"  # byte order mark and blanks


@pytest.mark.parametrize("cut", [1, 5, 12, 20])
def test_gzip_that_is_cut_short(cut: int) -> None:
    with pytest.raises(BadInput, match="too early"):
        inflated(gzip.compress(b"[1, 2, 3]")[:-cut], "gzip")


def test_gzip_that_is_none() -> None:
    for body in (b"[1]", gzip.compress(b"[1]") + b"rest"):
        with pytest.raises(BadInput, match="damaged"):
            inflated(body, "gzip")
    with pytest.raises(BadInput, match="too early"):
        inflated(b"", "gzip")
    with pytest.raises(WrongMedia):
        inflated(b"[1]", "br")


def test_sixteen_mebibytes_and_one_byte_more() -> None:
    most = b"1" * MAX_BYTES
    assert len(inflated(most, None)) == len(inflated(gzip.compress(most, 1), "gzip")) == MAX_BYTES
    for body, encoding in ((most + b"1", None), (gzip.compress(most + b"1", 1), "gzip")):
        with pytest.raises(TooLarge):
            inflated(body, encoding)


def test_a_bomb_of_many_members() -> None:
    with pytest.raises(TooLarge):
        inflated(gzip.compress(b"1" * (1 << 20)) * 2_000, "gzip")  # 2 MB for 2 GB
    with pytest.raises(TooLarge):
        inflated(gzip.compress(b"") * 10_002, "gzip")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [1],
        [[], {}, "", None],
        [{"a": [1, {"b": 2}]}, [[[]]], "],[{}"],
        ['a",b', "\\", '\\",', "[\\\\\\", '"'],
        ["é,ü", "\\u002c"],
    ],
)
def test_an_array_is_cut_where_its_items_end(items: list[object]) -> None:
    for text in (json.dumps(items), json.dumps(items, ensure_ascii=False, indent=1)):
        assert [json.loads(part) for part in array_of(text.encode())] == items


@pytest.mark.parametrize("body", [b"[", b"[1", b"[1]]", b"[1][2]", b'["]', b"[{]", b"]", b"[1]x"])
def test_brackets_that_do_not_match(body: bytes) -> None:
    with pytest.raises(BadInput):
        array_of(body)


def test_blank_lines_are_no_items() -> None:
    assert lines_of(b"\n1\r\n  \t\r\n2\n\n") == [b"1\r", b"2"]
    assert lines_of(b"") == []


def test_ten_thousand_items_and_one_more() -> None:
    assert len(lines_of(b"1\n" * 10_000)) == 10_000
    assert len(array_of(b"[" + b"1," * 9_999 + b"1]")) == 10_000
    for cut, body in ((lines_of, b"1\n" * 10_001), (array_of, b"[" + b"1," * 10_000 + b"1]")):
        with pytest.raises(TooLarge):
            cut(body)
