"""Requests to a portal that may be slow, wrong or away: bounded, and tried again with patience."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
import structlog

from app.errors import FocusPatrolError
from app.feeds.body import Fault, save
from app.feeds.feed import Feed

T = TypeVar("T")
AGAIN = (408, 425, 429, 500, 502, 503, 504)
MOVED = (301, 302, 303, 307, 308)
HOPS = 5
EXCERPT = 160  # characters of what a portal says that go into an error
PAGES = ("text/html", "application/xhtml")

log = structlog.get_logger(__name__)


class UpstreamRefused(FocusPatrolError):
    """A portal that answers, but not with what the feed asks for; to ask again would not help."""


class GivenUp(FocusPatrolError):
    """A portal that could not be read, however often it was tried."""


class Stopped(FocusPatrolError):
    """Somebody asked to end."""


@dataclass(frozen=True)
class Answer:
    """An answer whose body is in a file, `size` bytes long.

    `framed`: whether HTTP itself would have shown that the body is cut short.
    """

    status: int
    headers: httpx.Headers
    path: Path
    size: int
    framed: bool


class Upstream:
    """The way to one portal; counts the bytes that came. To be used in a `with` block."""

    def __init__(self, feed: Feed, token: str | None, folder: Path, stop: threading.Event) -> None:
        """`folder` takes the bodies, one after the other; `stop` ends every wait."""
        self.feed = feed
        self.bytes = 0
        self._secret = _header_of(feed, token)
        self._path = folder / f"body.{feed.kind}"
        self._stop = stop
        self._rng = np.random.default_rng()
        self._client = httpx.Client(
            timeout=feed.timeout_s,
            follow_redirects=False,
            trust_env=False,  # nothing but the settings and the feed decides where this goes
            proxy=feed.proxy,
            headers={"User-Agent": "focus-patrol", "Accept-Encoding": "gzip"},
        )

    def __enter__(self) -> "Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        params: dict[str, str],
        headers: dict[str, str],
        read: Callable[[Answer], T],
    ) -> T:
        """What `read` makes of the answer; both are tried again where a Fault may be over soon.

        Raises GivenUp after the last try, UpstreamRefused or TooLarge where another would not
        help, Stopped.
        """
        for number in range(1, self.feed.tries + 1):
            try:
                return read(self._once(params, headers))
            except (httpx.TransportError, Fault) as error:
                fault = error
            if number == self.feed.tries:
                break
            pause_s = self._pause_s(fault, number)
            said = _said(fault)
            log.warning("feed_retry", host=self._host, error=said, tries=number, pause_s=pause_s)
            if self._stop.wait(pause_s):
                raise Stopped("stopped while waiting for the portal")
        raise GivenUp(
            f"{self._host} could not be read in {self.feed.tries} tries: {_said(fault)}"
        ) from fault

    @property
    def _host(self) -> str:
        return httpx.URL(self.feed.url).host

    def _pause_s(self, fault: Exception, number: int) -> float:
        """Doubled with each try, less up to a half by chance; as the server says, if it does.

        Raises GivenUp where the server asks for more patience than there is.
        """
        asked_s = getattr(fault, "retry_after_s", None)
        if asked_s is None:
            longest_s = min(self.feed.retry_s * 2.0 ** (number - 1), self.feed.patience_s)
            return round(longest_s * float(self._rng.uniform(0.5, 1.0)), 3)
        if asked_s > self.feed.patience_s:
            raise GivenUp(
                f"{self._host} asks to come back in {asked_s:.0f} s, which is longer than a pull "
                f"waits (patience_s = {self.feed.patience_s:g}): {_said(fault)}"
            )
        return float(asked_s)

    def _once(self, params: dict[str, str], headers: dict[str, str]) -> Answer:
        url = httpx.URL(self.feed.url)
        url = url.copy_merge_params(params) if params else url
        for _ in range(HOPS + 1):
            ours = (url.scheme, url.netloc) == _origin(self.feed.url)
            request = self._client.build_request(
                "GET", url, headers=headers | (self._secret if ours else {})
            )
            response = self._client.send(request, stream=True)
            try:
                if response.status_code not in MOVED:
                    return self._answer(response)
                url = _next(url, response)
            finally:
                response.close()
        raise UpstreamRefused(f"{self._host} sends from one address to another without an end")

    def _answer(self, response: httpx.Response) -> Answer:
        status, headers = response.status_code, response.headers
        if status in AGAIN:
            raise Fault(f"it answered {status}", _retry_after_s(headers))
        kind = headers.get("content-type", "").lower()
        coding = headers.get("content-encoding", "identity").strip().lower()
        if status == 200 and kind.startswith(PAGES):
            raise Fault(f"it answered with a web page ({kind.partition(';')[0]}) instead of data")
        if coding not in ("identity", "gzip", "x-gzip", ""):
            raise Fault(f"it answered in the encoding {coding[:40]!r}, though gzip was asked for")
        chunks = self._counted(response)
        limit = self.feed.max_body_bytes
        size = save(chunks, coding.endswith("gzip"), self._path, limit)
        if status not in (200, 304):
            with self._path.open("rb") as file:
                raise UpstreamRefused(f"{self._host} answered {status}: {excerpt(file.read(4096))}")
        framed = "content-length" in headers or "transfer-encoding" in headers
        return Answer(status, headers, self._path, size, framed)

    def _counted(self, response: httpx.Response) -> Iterator[bytes]:
        """The bytes as they come; raises Fault where they come for too long."""
        until = time.monotonic() + self.feed.deadline_s
        for chunk in response.iter_raw():
            self.bytes += len(chunk)
            if time.monotonic() > until:
                raise Fault(f"the answer took longer than {self.feed.deadline_s:g} s (deadline_s)")
            yield chunk


def excerpt(said: bytes | str) -> str:
    """The beginning of what a portal says, on one line."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:EXCERPT]


def _header_of(feed: Feed, token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if feed.kind == "socrata":
        return {"X-App-Token": token}
    name = "X-Esri-Authorization" if feed.kind == "arcgis" else "Authorization"
    return {name: f"Bearer {token}"}


def _origin(url: str) -> tuple[str, bytes]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.netloc


def _next(url: httpx.URL, response: httpx.Response) -> httpx.URL:
    """Where an answer sends us. Raises UpstreamRefused for another scheme, or no address."""
    location = response.headers.get("location", "")
    try:
        there = url.join(location)
    except httpx.InvalidURL as error:
        raise UpstreamRefused(f"{url.host} moved to no address: {excerpt(location)}") from error
    if not location or there.scheme != url.scheme or not there.host:
        raise UpstreamRefused(
            f"{url.host} moved to {excerpt(location) or 'nowhere'}, which is not followed: "
            "if that is right, write it into the feed"
        )
    return there


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """What `Retry-After` says, as seconds or as a date, None where it says nothing of use."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        # The server's own clock is the one to compare with.
        ahead = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, ahead.total_seconds())


def _said(error: Exception) -> str:
    """What went wrong, without an address, which may hold a key."""
    names = {
        httpx.ConnectTimeout: "it does not take the connection in time",
        httpx.TimeoutException: "it is silent for too long (timeout_s)",
        httpx.ConnectError: "there is no connection to it",
        httpx.UnsupportedProtocol: "its address is of no use",
        httpx.TransportError: "the connection broke",
    }
    said = next((text for kind, text in names.items() if isinstance(error, kind)), "")
    return f"{said} ({excerpt(str(error))})" if said else excerpt(str(error))
