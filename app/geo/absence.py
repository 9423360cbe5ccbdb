"""When a zone was without any unit for too long, as far as the feed lets anybody know."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Breach:
    """No unit for too long: from the instant at which it became too long, to the next entry.

    `until_us` is None where no unit has come since.
    """

    from_us: int
    until_us: int | None


def breaches(
    window_us: tuple[int, int],
    present_us: Sequence[tuple[int, int]],
    silent_us: Sequence[tuple[int, int]],
    idle_us: int,
    now_us: int,
) -> list[Breach]:
    """The breaches within a window, as far as it has passed, in order of time.

    `present_us`: half-open intervals with at least one unit there, sorted and apart from each
    other; `silent_us`: the same for what is not known. Absence counts from the window's start, from
    the last unit's leaving, or from the end of a silence, during which a unit may have come. A
    breach is one until a unit enters, whatever is silent in between.
    """
    begin_us, until_us = window_us[0], min(window_us[1], now_us)
    # Where both meet, presence is known and silence is not.
    blocks = sorted([(*p, True) for p in present_us] + [(*s, False) for s in silent_us])
    found: list[Breach] = []
    absent_since_us = begin_us
    for start_us, end_us, entered in [*blocks, (until_us, until_us, False)]:
        start_us, end_us = min(start_us, until_us), min(end_us, until_us)
        is_open = bool(found) and found[-1].until_us is None
        if start_us - absent_since_us >= idle_us and not is_open:
            found.append(Breach(absent_since_us + idle_us, None))
            is_open = True
        if entered and is_open and start_us < until_us and start_us >= found[-1].from_us:
            found[-1] = Breach(found[-1].from_us, start_us)
        absent_since_us = max(absent_since_us, end_us)
    return found
