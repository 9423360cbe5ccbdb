"""A backtest from files alone: incidents and a boundary in, surfaces and a report out."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app import files, review
from app.errors import Invalid
from app.geo.grid import Grid, grid_of, to_text
from app.geo.risk import DEFAULTS, Incidents, oldest_us
from app.moments import text_of
from app.review import Scores, Step
from app.severity import severity_of
from app.shifts import Shifts, instances, local_date, parse_calendar

Progress = Callable[[int, int], None]

SCHEMA = pa.schema(
    [
        ("shift_start", pa.timestamp("us", tz="UTC")),
        ("shift", pa.string()),
        ("cell", pa.string()),
        ("expected_incidents", pa.float64()),
        ("expected_harm", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Test:
    """What to judge: shifts of local days, both ends included, at an H3 resolution.

    `calendar` as in day=07:00,night=19:00. `train_from` None starts with the first incident
    that still has weight.
    """

    timezone: str
    calendar: str
    resolution: int
    test_from: date
    test_to: date
    train_from: date | None = None


def backtest_files(
    incidents: Path,
    profile: str | Path,
    boundary: Path,
    test: Test,
    out: Path,
    progress: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """The report of a backtest, also in `out/report.json` beside `out/surfaces.parquet`.

    `progress` is told the shifts done, of how many.
    Raises BadInput for files that cannot be read, Invalid for days, a calendar, a time zone or a
    boundary that no test can be made of.
    """
    found, refused = files.incidents_of_file(incidents, profile, test.resolution)
    grid = grid_of(files.read_area(boundary), test.resolution)
    if not len(found):
        raise Invalid(f"{incidents} has no usable incident: there is nothing to test")
    shifts, tested = _shifts(test, found)
    weights = severity_of(found.categories)
    steps = review.backtest(found, grid, shifts, tested, weights.weights)
    scores: list[Scores] = []

    def surfaces() -> Iterator[dict[str, Any]]:
        cells = to_text(grid.cells)
        for step in steps:
            scores.append(step.scores)
            progress(len(scores), len(tested))
            yield _surface(step, shifts, cells)

    out.mkdir(parents=True, exist_ok=True)
    files.write_parquet(out / "surfaces.parquet", surfaces(), SCHEMA)
    notes = [*weights.notes, *_refused(refused)]
    report = _report(scores, grid, shifts, tested, found, notes)
    files.write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    return report


def _shifts(test: Test, found: Incidents) -> tuple[Shifts, range]:
    try:
        calendar = parse_calendar(test.calendar)
        cut_us = instances(calendar, test.timezone, test.test_from, test.test_from).start_us[0]
        oldest = max(oldest_us(int(cut_us)), int(found.time_us.min()))
        first = test.train_from or local_date(oldest, test.timezone)
    except ValueError as error:
        raise Invalid(str(error)) from error
    train_from = min(first, test.test_from) if test.train_from is None else first
    return review.calendar(calendar, test.timezone, train_from, test.test_from, test.test_to)


def _surface(step: Step, shifts: Shifts, cells: list[str]) -> dict[str, Any]:
    shift = shifts.at(step.position)
    return {
        "shift_start": np.full(len(cells), shift.start_us).astype("datetime64[us]"),
        "shift": [shift.name] * len(cells),
        "cell": cells,
        "expected_incidents": step.expected_incidents,
        "expected_harm": step.expected_harm,
    }


def _report(
    scores: Sequence[Scores],
    grid: Grid,
    shifts: Shifts,
    tested: Sequence[int],
    found: Incidents,
    notes: Sequence[str],
) -> dict[str, Any]:
    return {
        "model": DEFAULTS.name,
        "test_start": text_of(int(shifts.start_us[tested[0]])),
        "test_end": text_of(int(shifts.end_us[tested[-1]])),
        "incidents_on_record": len(found),
        **review.report(scores, grid, notes),
    }


def _refused(count: int) -> list[str]:
    return [f"{count} rows of the file could not be used and were left out."] if count else []
