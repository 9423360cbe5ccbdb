"""Addresses as the client sees them, behind any proxy, and links that it can follow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers
from starlette.types import Scope

ROOT = "/ogc"
JSON = "application/json"
GEOJSON = "application/geo+json"
SCHEMA = "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
_SCHEME = re.compile(r"https?", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_FORWARDED = re.compile(r'\b(proto|host)="?([^",;]+)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Addresses:
    """Where the client found us, and the key that its address carried, if any."""

    base: str
    key: str | None = None

    def link(self, rel: str, path: str, kind: str, title: str, **query: Any) -> dict[str, str]:
        """A link to a path below /ogc, with the key exactly when the request's address had it."""
        return {"rel": rel, "type": kind, "title": title, "href": self.href(path, query)}

    def href(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The address of a path below /ogc."""
        pairs = dict(query or {}) | ({} if self.key is None else {"api_key": self.key})
        asked = f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
        return f"{self.base}{path}{asked}"


def base_of(scope: Scope, public_url: str) -> str:
    """The address of /ogc as the client sees it: as set, or as proxies say, or as it was called.

    What a proxy says is taken only where it can be part of an address.
    """
    if public_url:
        return public_url.rstrip("/") + ROOT
    headers = Headers(scope=scope)
    said = {name.lower(): value for name, value in _FORWARDED.findall(_first(headers, "forwarded"))}
    scheme = said.get("proto") or _first(headers, "x-forwarded-proto")
    host = said.get("host") or _first(headers, "x-forwarded-host")
    prefix = _first(headers, "x-forwarded-prefix").rstrip("/")
    if not _SCHEME.fullmatch(scheme):
        scheme = scope.get("scheme", "http")
    if not _HOST.fullmatch(host):
        host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        host = f"{name}:{port}" if port else name
    if not _PREFIX.fullmatch(prefix):
        prefix = str(scope.get("root_path", "")).rstrip("/")
    return f"{scheme.lower()}://{host}{prefix}{ROOT}"


def _first(headers: Headers, name: str) -> str:
    """What the outermost proxy said: it stands first."""
    return headers.get(name, "").partition(",")[0].strip()
