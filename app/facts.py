"""Pings and incidents as columns, as they were sent: nobody has checked them yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_CODE = -1  # a text that was not sent
BAD_CODE = -2  # a text that is none of those allowed
# Error of a range from one satellite [m], which a dilution of precision multiplies to an accuracy:
# a round figure for receivers of one frequency. Source: Langley (1999), GPS World 10(5), 52-59.
RANGE_ERROR_M = 5.0


@dataclass(frozen=True)
class Coded:
    """A column of texts: `code` (n,) int64 indexes `names`; -1 where nothing was sent."""

    code: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: Any) -> "Coded":
        return Coded(self.code[index], self.names)

    def where(self, fits: Callable[[str], bool]) -> Mask:
        """Where the text fits; false where none was sent. (n,) bool."""
        answers = np.array([*(fits(name) for name in self.names), False], dtype=np.bool_)
        result: Mask = answers[self.code]
        return result

    def texts(self) -> list[str | None]:
        """The texts, row by row, None where nothing was sent."""
        names = [*self.names, None]
        return [names[k] for k in self.code.tolist()]


def coded(texts: Sequence[str | None]) -> Coded:
    """Texts as codes, named in the order of their first appearance."""
    names = {text: k for k, text in enumerate(dict.fromkeys(t for t in texts if t is not None))}
    code = np.fromiter((NO_CODE if t is None else names[t] for t in texts), np.int64, len(texts))
    return Coded(code, tuple(names))


@dataclass(frozen=True)
class _Columns:
    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, index: Any) -> Self:
        """The rows that an index array, a mask or a slice selects, in that order."""
        return type(self)(*(getattr(self, column.name)[index] for column in fields(self)))


@dataclass(frozen=True)
class PingColumns(_Columns):
    """Pings as they came, each column (n,).

    `time_us` int64, ABSENT or INVALID where there is none; numbers float64, NaN where not sent;
    `status` int8, an index into STATUS, -1 where not sent and -2 where it is no status.
    """

    unit_id: Coded
    time_us: Ints
    lat: Floats
    lon: Floats
    speed_mps: Floats
    heading_deg: Floats
    accuracy_m: Floats
    status: NDArray[np.int8]


@dataclass(frozen=True)
class IncidentColumns(_Columns):
    """Incidents as they came, each column (n,).

    `incident_id` object (str, or None where there is none); instants int64, ABSENT or INVALID
    where there is none; `source` int8, an index into SOURCES, -1 where not sent and -2 where it
    is no source.
    """

    incident_id: NDArray[np.object_]
    occurred_from_us: Ints
    occurred_to_us: Ints
    reported_at_us: Ints
    lat: Floats
    lon: Floats
    category: Coded
    final_category: Coded
    source: NDArray[np.int8]
    municipality: Coded


def code_of(allowed: Sequence[str]) -> Mapping[str | None, int]:
    """The code of each allowed text, and of None."""
    return {None: NO_CODE, **{name: k for k, name in enumerate(allowed)}}
