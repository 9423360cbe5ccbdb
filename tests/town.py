"""A hand-made town of seven cells, two units and ten incidents: every figure fits in the head.

The cells are one hexagon at resolution 9 and its ring. Shifts are those of UTC, so that nothing
hangs on a clock change; the town's first day is Monday 1 January 2024.

    unit T-1 stands in the middle of CENTRE from 08:00 to 08:10, a ping a minute: 600 s there.
    unit T-2 drives at even speed from the middle of WEST to that of EAST from 09:00 to 09:01,
    a ping each 10 s: a quarter of the way lies in WEST, half in CENTRE, a quarter in EAST, so
    15 s, 30 s and 15 s.

    of the ten incidents 4 lie in CENTRE, 2 in WEST, 1 in EAST, 1 outside the town; one more in
    CENTRE was found by an officer, one in WEST came from an alarm. Seven of the eight that the
    public reported are points in time; the burglary in EAST happened at some time in 12 hours.
"""

import h3
import numpy as np
import shapely

from app.geo.fixes import Pings, concat, pings_of
from app.geo.grid import Grid, cells_at, centres, grid_from, neighbour_cells, to_text
from app.geo.risk import SOURCES, Incidents
from app.shifts import DAY_US, HOUR_US, SECOND_US

RESOLUTION = 9
TIMEZONE = "UTC"
SHIFTS = {"night": "00:00", "day": "08:00", "evening": "16:00"}
MONDAY_US = 1_704_067_200 * SECOND_US  # 2024-01-01T00:00:00Z
MONDAY_HOUR = MONDAY_US // HOUR_US
UNITS = ("T-1", "T-2")

CENTRE = cells_at(np.array([44.48]), np.array([-79.80]), RESOLUTION)[0]
RING = neighbour_cells(np.array([CENTRE]))[0]
GRID: Grid = grid_from(np.append(RING, CENTRE), RESOLUTION)
_RING_LON = centres(RING)[1]
WEST, EAST = RING[_RING_LON.argmin()], RING[_RING_LON.argmax()]  # they face each other
OUTSIDE = cells_at(np.array([44.60]), np.array([-79.80]), RESOLUTION)[0]

POLYGON = shapely.union_all(
    [
        shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(text)])
        for text in to_text(GRID.cells)
    ]
)

_KINDS = ("assault", "break and enter", "theft")
# Hours since Monday 00:00 UTC from and to, cell, category, source.
_ROWS = (
    (9.0, 9.0, CENTRE, "assault", "public"),  # Monday, day shift
    (17.0, 17.0, CENTRE, "theft", "public"),  # Monday, evening shift
    (33.0, 33.0, CENTRE, "theft", "public"),  # Tuesday, day shift
    (49.0, 49.0, CENTRE, "assault", "public"),  # Wednesday, night shift
    (10.0, 10.0, WEST, "theft", "public"),  # Monday, day shift
    (58.0, 58.0, WEST, "theft", "public"),  # Wednesday, day shift
    (12.0, 24.0, EAST, "break and enter", "public"),  # 4 h of the day shift, 8 h of the evening
    (11.0, 11.0, OUTSIDE, "theft", "public"),
    (34.0, 34.0, CENTRE, "theft", "officer"),
    (35.0, 35.0, WEST, "break and enter", "alarm"),
)
INCIDENT_IDS = tuple(f"T-{k:02d}" for k in range(1, len(_ROWS) + 1))
INCIDENTS = Incidents(
    time_us=np.array([MONDAY_US + int(row[0] * HOUR_US) for row in _ROWS], dtype=np.int64),
    to_us=np.array([MONDAY_US + int(row[1] * HOUR_US) for row in _ROWS], dtype=np.int64),
    known_us=np.array([MONDAY_US + int((row[1] + 0.5) * HOUR_US) for row in _ROWS], dtype=np.int64),
    cell=np.array([row[2] for row in _ROWS], dtype=np.uint64),
    category=np.array([_KINDS.index(row[3]) for row in _ROWS], dtype=np.int32),
    source=np.array([SOURCES.index(row[4]) for row in _ROWS], dtype=np.int8),
    categories=_KINDS,
)
ALL_KNOWN_US = MONDAY_US + 3 * DAY_US  # by Thursday every incident is on record


def _pings() -> Pings:
    lat, lon = centres(np.array([CENTRE, WEST, EAST]))
    minute = np.arange(11)
    stands = pings_of(
        np.zeros(11, dtype=np.int64),
        MONDAY_US + 8 * HOUR_US + minute * 60 * SECOND_US,
        np.full(11, lat[0]),
        np.full(11, lon[0]),
    )
    done = np.arange(7) / 6
    drives = pings_of(
        np.ones(7, dtype=np.int64),
        MONDAY_US + 9 * HOUR_US + np.arange(7) * 10 * SECOND_US,
        lat[1] + done * (lat[2] - lat[1]),
        lon[1] + done * (lon[2] - lon[1]),
    )
    return concat([stands, drives])


PINGS = _pings()  # unit 0 is T-1, unit 1 is T-2
