"""Dosage from a file of pings alone: dwell per unit, cell and hour, with no database."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app import files
from app.geo.dwell import Coverage, Dwell, coverage_summary, dwell_parts
from app.geo.fixes import set_aside
from app.geo.grid import to_text
from app.shifts import HOUR_US

SECONDS = ("dwell_s", "stationary_s", "slow_s", "transit_s", "dwell_low_s", "dwell_high_s")
SCHEMA = pa.schema(
    [
        ("unit_id", pa.string()),
        ("cell", pa.string()),
        ("hour_start", pa.timestamp("us", tz="UTC")),
        *((name, pa.float64()) for name in SECONDS),
    ]
)


def dosage_of_file(pings: Path, profile: str | Path, resolution: int, out: Path) -> dict[str, Any]:
    """The summary of a file of pings, whose dwell is written to the Parquet file `out`.

    Raises BadInput for a file or profile that cannot be read, or where nothing can be written.
    """
    found, unit_ids = files.pings_of_file(pings, profile)
    found = found.ordered()
    reasons = set_aside(found)
    names = pa.array(unit_ids, pa.string())
    known: list[Coverage] = []

    def pieces() -> Iterator[dict[str, Any]]:
        for dwell, coverage in dwell_parts(found, resolution, reasons=reasons):
            known.append(coverage)
            yield _columns(dwell, names)

    files.write_parquet(out, pieces(), SCHEMA)
    return coverage_summary(found, _joined(known), reasons=reasons)


def _joined(parts: list[Coverage]) -> Coverage:
    columns = (np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Coverage))
    return Coverage(*columns)


def _columns(dwell: Dwell, names: pa.Array) -> dict[str, Any]:
    return {
        "unit_id": names.take(pa.array(dwell.unit)),
        "cell": to_text(dwell.cell),
        "hour_start": (dwell.hour * HOUR_US).astype("datetime64[us]"),
        **{name: getattr(dwell, name) for name in SECONDS},
    }
