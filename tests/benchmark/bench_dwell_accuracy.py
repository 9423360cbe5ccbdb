"""Dwell beside the truth, by refresh rate: on simulated patrols, and on real tracks thinned."""

from dataclasses import replace

from app.geo.dwell import DwellParameters
from app.geo.legs import LegParameters
from tests.benchmark import dwell_accuracy
from tests.benchmark.table import Table

CARS, HOURS = 40, 8
REPORTS = (10, 30, 60, 120, "parked", "curve")
NAMES = {"parked": "15 s, parked 600 s", "curve": "at turns and stops"}


def run() -> Table:
    cases = [
        ("simulated", report, dwell_accuracy.patrol(CARS, HOURS, report)) for report in REPORTS
    ]
    if dwell_accuracy.GEOLIFE.exists():
        cases += [("GeoLife", s, dwell_accuracy.geolife(s)) for s in (30, 60, 120)]
    straight = replace(DwellParameters(), legs=LegParameters(straight_m=float("inf")))
    rows = []
    for tracks, report, cars in cases:
        for resolution in (9, 10):
            ours = dwell_accuracy.judge(cars, resolution)
            lines = dwell_accuracy.judge(cars, resolution, straight)
            rows.append(
                (
                    tracks,
                    NAMES.get(str(report), f"{report} s"),
                    resolution,
                    f"{ours.misallocated:.2%}",
                    f"{lines.misallocated:.2%}",
                    f"{ours.misallocated_rows:.2%}",
                    f"{ours.recovered:.2%}",
                    f"{ours.covered:.1%}",
                    ours.width,
                )
            )
    return Table(
        (
            "tracks",
            "reports every",
            "resolution",
            "misallocated by cell",
            "with straight lines",
            "by unit, cell and hour",
            "recovered",
            "covered",
            "width",
        ),
        rows,
        (
            "Misallocated: seconds credited beyond the truth, as a share of all credited. Covered: "
            "rows of five true minutes or more whose interval holds the truth; width: their "
            "intervals over their truth.",
        ),
    )
