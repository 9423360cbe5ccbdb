"""The body of an answer, inflated within limits and written to a file."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from app.errors import TooLarge

_PIECE = 262_144  # inflated bytes at a time
_GZIP = b"\x1f\x8b"


class Fault(Exception):
    """Something that may well be over the next time; `retry_after_s`: when the server says so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def save(chunks: Iterable[bytes], gzipped: bool, path: Path, limit: int) -> int:
    """How many bytes were written: those of the body, inflated where it is gzip by itself too.

    Raises TooLarge past `limit` bytes, and Fault for a gzip stream that is damaged or cut short.
    """
    plain = inflated(chunks) if gzipped else iter(chunks)
    head = b""
    for chunk in plain:
        head += chunk
        if len(head) >= len(_GZIP):
            break
    plain = chain([head], plain)
    size = 0
    with path.open("wb") as file:
        for chunk in inflated(plain) if head.startswith(_GZIP) else plain:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"the answer is larger than {limit} bytes (max_body_bytes)")
            file.write(chunk)
    return size


def inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a gzip stream of one or more members, never many at a time. Raises Fault."""
    stream, ended = zlib.decompressobj(wbits=31), True
    for chunk in chunks:
        left = chunk
        while left:
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
            try:
                yield stream.decompress(left, _PIECE)
            except zlib.error as error:
                raise Fault("the gzip body is damaged") from error
            ended = stream.eof
            left = stream.unused_data if ended else stream.unconsumed_tail
    if not ended:
        raise Fault("the gzip body ends too early")
