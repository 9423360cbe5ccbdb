"""What devices sent in the formats of the field, as pings like all others: on disk, or refused."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from app.checks import Flaw
from app.db import Database
from app.instants import ABSENT, INVALID
from app.intake.accept import Call, accept_pings
from app.intake.decode import Decoded, PingItem
from app.intake.formats.position import Position, flaw_of
from app.intake.receipt import Receipt
from app.settings import Settings
from app.shifts import SECOND_US

Heard = Position | Flaw  # one message: where it was, or why that cannot be said


def decoded_positions(heard: Sequence[Heard], names: Mapping[str, str]) -> Decoded[PingItem]:
    """Messages as pings, in their order, to be checked as those of a batch are.

    `names`: the call sign of each identifier that has one, see `app.aliases`; another identifier
    is taken for the call sign itself. Positions without a fix are refused here.
    """
    broken = [(k, flaw) for k, each in enumerate(heard) if (flaw := flaw_of(each)) is not None]
    bad = {k for k, _ in broken}
    index = [k for k in range(len(heard)) if k not in bad]
    items = [_item(p, names) for p in heard if isinstance(p, Position) and p.valid]
    return Decoded(len(heard), items, np.array(index, dtype=np.int64), broken)


def accept_positions(
    database: Database,
    settings: Settings,
    heard: Sequence[Heard],
    names: Mapping[str, str],
    now_us: int,
) -> Receipt:
    """The receipt of some messages, all of whose good positions are on disk.

    Raises DatabaseAway; nothing was stored then.
    """
    call = Call(partial(decoded_positions, heard, names))
    (outcome,) = accept_pings(database, settings, [call], now_us).outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _item(position: Position, names: Mapping[str, str]) -> PingItem:
    """A position as a ping; what is missing or impossible in it is left for the checks to find."""
    name: Any = position.identifier  # None, as with the time: found missing
    return PingItem(
        unit_id=names.get(name, name),
        time=_time(position.time_us),
        lat=position.lat,
        lon=position.lon,
        speed_mps=position.speed_mps,
        heading_deg=position.heading_deg,
        accuracy_m=position.accuracy_m,
    )


def _time(time_us: int) -> Any:
    """Unix seconds, which a float holds to the microsecond; a text that is no time for INVALID."""
    if time_us == ABSENT:
        return None
    return "" if time_us == INVALID else time_us / SECOND_US
