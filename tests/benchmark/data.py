"""What is measured on: the published city data where it is there, else made-up rows of its size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TAXIS = SHARED / "sf_taxi_gps" / "cabspotting_2008-05-17_2008-05-30.parquet"
CRIME = SHARED / "sf_crime" / "sfpd_incidents_2005_2008_labelled_weeks.parquet"
MADE_UP_PINGS = 2_000_000
MADE_UP_INCIDENTS = 300_000
BEGIN_S = 1_211_000_000  # 17 May 2008


@dataclass(frozen=True)
class File:
    """A file, the profile that reads it, and what to call it in a table."""

    path: Path
    profile: str
    what: str


def pings(folder: Path) -> File:
    """Two weeks of pings of some 500 vehicles."""
    if TAXIS.exists():
        return File(TAXIS, "sf_taxi_gps", "San Francisco taxis")
    rng = np.random.default_rng(1)
    seconds = np.sort(rng.uniform(0, 14 * 86_400, MADE_UP_PINGS)).round(3)
    columns = {
        "unit_id": pa.array(np.char.add("car ", rng.integers(0, 500, MADE_UP_PINGS).astype(str))),
        "time": pa.array(BEGIN_S + seconds),
        "lat": pa.array(37.76 + rng.normal(0, 0.02, MADE_UP_PINGS)),
        "lon": pa.array(-122.44 + rng.normal(0, 0.02, MADE_UP_PINGS)),
    }
    return _written(folder / "pings.parquet", columns, "made-up pings")


def incidents(folder: Path) -> File:
    """Some years of incidents of a city."""
    if CRIME.exists():
        return File(CRIME, "sf_incidents", "San Francisco incidents")
    rng = np.random.default_rng(2)
    seconds = np.sort(rng.uniform(-3 * 365 * 86_400, 0, MADE_UP_INCIDENTS)).round()
    columns = {
        "incident_id": pa.array(np.arange(MADE_UP_INCIDENTS).astype(str)),
        "occurred_from": pa.array(BEGIN_S + seconds),
        "lat": pa.array(37.76 + rng.normal(0, 0.02, MADE_UP_INCIDENTS)),
        "lon": pa.array(-122.44 + rng.normal(0, 0.02, MADE_UP_INCIDENTS)),
        "category": pa.array(rng.choice(["theft", "assault", "burglary"], MADE_UP_INCIDENTS)),
    }
    return _written(folder / "incidents.parquet", columns, "made-up incidents")


def _written(path: Path, columns: dict[str, pa.Array], what: str) -> File:
    pq.write_table(pa.table(columns), path)
    return File(path, "generic", what)
