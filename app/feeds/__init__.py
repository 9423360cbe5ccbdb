"""Incidents pulled from where others publish them: portals page by page, and files at an address.

A feed is a TOML file (`feed`). Requests are bounded and tried again with patience (`upstream`,
`body`); pages are asked for in the portal's own way (`portals`) and walked so that no row is lost
(`paging`); rows take the way that those of a loaded file take (`records`, `pull`).
"""

from app.feeds.feed import Feed, Source, feed_of, read_feed, source_of
from app.feeds.pull import Pulled, keep_pulling, pull

__all__ = [
    "Feed",
    "Pulled",
    "Source",
    "feed_of",
    "keep_pulling",
    "pull",
    "read_feed",
    "source_of",
]
