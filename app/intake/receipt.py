"""What became of each item of a batch: counts that sum, and why items were refused."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from app.checks import Flaw

MAX_ERRORS = 100


class ItemError(msgspec.Struct, frozen=True):
    """Why one item was refused; `index` counts items from 0."""

    index: int
    code: str
    field: str | None
    message: str


class Receipt(msgspec.Struct, frozen=True):
    """accepted + duplicate + rejected = received; the errors are the first by index."""

    received: int
    accepted: int
    duplicate: int
    rejected: int
    errors: tuple[ItemError, ...]
    errors_truncated: bool

    @property
    def http_status(self) -> int:
        """200 where nothing was refused, 207 where some was, 422 where all was."""
        if not self.rejected:
            return 200
        return 422 if self.rejected == self.received else 207

    def as_dict(self) -> dict[str, Any]:
        """The receipt as it is sent."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        return members | {"errors": list(members["errors"])}


@dataclass(frozen=True)
class Refused:
    """How many items were refused, and the first of them by index, with their flaws."""

    count: int = 0
    first: tuple[tuple[int, Flaw], ...] = ()

    def plus(self, items: Iterable[tuple[int, Flaw]], count: int) -> "Refused":
        """With `count` more, of which `items` holds at least the first by index."""
        if not count:
            return self
        first = heapq.nsmallest(MAX_ERRORS, (*self.first, *items), key=itemgetter(0))
        return Refused(self.count + count, tuple(first))

    def receipt(self, received: int, accepted: int) -> Receipt:
        """The receipt of a batch; what was neither accepted nor refused was there already."""
        return Receipt(
            received=received,
            accepted=accepted,
            duplicate=received - accepted - self.count,
            rejected=self.count,
            errors=tuple(ItemError(index, *flaw) for index, flaw in self.first),
            errors_truncated=self.count > len(self.first),
        )


def summed(receipts: Iterable[Receipt]) -> Receipt:
    """One receipt for several batches whose items are counted through."""
    received = accepted = 0
    refused = Refused()
    for receipt in receipts:
        received += receipt.received
        accepted += receipt.accepted
        errors = [(e.index, Flaw(e.code, e.field, e.message)) for e in receipt.errors]
        refused = refused.plus(errors, receipt.rejected)
    return refused.receipt(received, accepted)
