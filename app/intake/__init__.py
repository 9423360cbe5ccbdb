"""Bodies of pings and incidents in, facts and receipts out.

A body is inflated and cut into items (`body`), items become columns (`decode`), columns are
checked (`app.checks`), good rows are stored in one durable write and the rest is accounted for
(`accept`, `receipt`).
"""

from app.intake.accept import (
    Batch,
    Call,
    Done,
    accept_incidents,
    accept_pings,
    batch_of,
    decoded_pings,
    keep_incidents,
    keep_pings,
    read_incidents,
    read_pings,
)
from app.intake.body import MAX_BYTES, MAX_ITEMS
from app.intake.decode import Decoded, PingItem
from app.intake.receipt import MAX_ERRORS, ItemError, Receipt, Refused, summed

__all__ = [
    "MAX_BYTES",
    "MAX_ERRORS",
    "MAX_ITEMS",
    "Batch",
    "Call",
    "Decoded",
    "Done",
    "ItemError",
    "PingItem",
    "Receipt",
    "Refused",
    "accept_incidents",
    "accept_pings",
    "batch_of",
    "decoded_pings",
    "keep_incidents",
    "keep_pings",
    "read_incidents",
    "read_pings",
    "summed",
]
