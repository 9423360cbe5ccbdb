"""The body of a call, inflated within limits and cut into items."""

import zlib
from itertools import pairwise

import numpy as np

from app.errors import BadInput, TooLarge, WrongMedia

MAX_ITEMS = 10_000
MAX_BYTES = 16 * 1024 * 1024  # inflated
JSON = "application/json"
LINES = ("application/x-ndjson", "application/ndjson")

_PIECE = 1024  # inflates to 1 MiB at most, so that little more than the limit is ever held
_MEMBERS = MAX_ITEMS  # a gzip body of more members than that can have items
_BLANK = b" \t\r\n"


def is_lines(media_type: str | None) -> bool:
    """Whether a body is NDJSON; without a media type it is JSON.

    Raises WrongMedia for another media type, or a character set that is not UTF-8.
    """
    if media_type is None or not media_type.strip():
        return False
    kind, *parameters = (part.strip().lower() for part in media_type.split(";"))
    charsets = [p.partition("=")[2].strip('" ') for p in parameters if p.startswith("charset")]
    if any(charset not in ("utf-8", "utf8", "us-ascii") for charset in charsets):
        raise WrongMedia(f"the character set must be UTF-8, not {charsets[0][:40]}")
    if kind not in (JSON, *LINES):
        raise WrongMedia(f"send {JSON} or {LINES[0]}, not {kind[:80]}")
    return kind in LINES


def inflated(body: bytes, encoding: str | None) -> bytes:
    """The body without its content encoding, a byte order mark or blanks around it.

    Never holds more than the limit and a little. Raises WrongMedia for an encoding other than
    gzip, TooLarge past 16 MiB, BadInput where the gzip stream is damaged or cut short.
    """
    name = (encoding or "identity").strip().lower() or "identity"
    if name not in ("identity", "gzip", "x-gzip"):
        raise WrongMedia(f"send the body plain or with gzip, not {name[:40]}")
    if len(body) > MAX_BYTES:
        raise _too_large()
    if name != "identity":
        body = _gunzipped(body)
    return body.removeprefix(b"\xef\xbb\xbf").strip(_BLANK)


def lines_of(body: bytes) -> list[bytes]:
    """The items of an NDJSON body; blank lines are none. Raises TooLarge past 10,000."""
    items = [line for line in body.split(b"\n") if line and not line.isspace()]
    bounded(len(items))
    return items


def array_of(body: bytes) -> list[bytes]:
    """The texts between the outermost commas of a JSON array; whether each is JSON is left open.

    Raises BadInput where brackets do not match, TooLarge past 10,000.
    """
    # Every run of backslashes starts an escape, so this leaves only quotes that bound strings.
    plain = body.replace(rb"\\", b"__").replace(rb"\"", b"__")
    text = np.frombuffer(plain, dtype=np.uint8)
    # Parity of the quotes so far, in eight bits that may well overflow.
    outside = np.cumsum(text == ord('"'), dtype=np.uint8) & 1 == 0
    opens = (text == ord("[")) | (text == ord("{"))
    closes = (text == ord("]")) | (text == ord("}"))
    depth = np.cumsum((opens & outside).astype(np.int8) - (closes & outside), dtype=np.int32)
    closed = len(body) > 1 and int(np.argmax(depth <= 0)) == len(body) - 1 and depth[-1] == 0
    if not (closed and body.startswith(b"[") and body.endswith(b"]")):
        raise BadInput("the body is not one JSON array or object: its brackets do not match")
    commas = np.flatnonzero((text == ord(",")) & outside & (depth == 1))
    if not len(commas) and not body[1:-1].strip(_BLANK):
        return []
    bounded(len(commas) + 1)
    bounds = [0, *commas.tolist(), len(body) - 1]
    return [body[a + 1 : b] for a, b in pairwise(bounds)]


def bounded(count: int) -> None:
    """Raises TooLarge for more items than one call may carry."""
    if count > MAX_ITEMS:
        raise TooLarge(f"{count} items are more than the {MAX_ITEMS} that one call may carry")


def _too_large() -> TooLarge:
    return TooLarge(f"the body is larger than {MAX_BYTES // 1024 // 1024} MiB; send it in parts")


def _gunzipped(body: bytes) -> bytes:
    """All members of a gzip body, one after another."""
    parts: list[bytes] = []
    room, members = MAX_BYTES, 0
    stream = zlib.decompressobj(wbits=31)
    finished = False
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        while piece:
            if finished:
                stream, finished = zlib.decompressobj(wbits=31), False
                members += 1
            if members > _MEMBERS:
                raise TooLarge("the gzip body has too many members")
            try:
                part = stream.decompress(piece, room + 1)
            except zlib.error as error:
                raise BadInput("the gzip body is damaged") from error
            room -= len(part)
            if room < 0:
                raise _too_large()
            parts.append(part)
            finished = stream.eof
            piece = stream.unused_data if finished else stream.unconsumed_tail
    if not finished:
        raise BadInput("the gzip body ends too early")
    return b"".join(parts)
