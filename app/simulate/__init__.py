"""The simulated town: streets, planted hot spots, patrol cars; the demo, and known truth for tests.

Everything follows from a seed. Each day, week and tour has chance of its own, so that history and
what goes on live agree, however the time is cut.
"""

from app.simulate.boxes import Reporting
from app.simulate.driver import ACTIVITIES, Track
from app.simulate.fleet import Paths, live, paths_of, patrol, pings
from app.simulate.happenings import BACKGROUND, WAVE, incidents, wave_centre
from app.simulate.harrow_bay import MUNICIPALITY, District, Town, Unit, stream, town
from app.simulate.receiver import Reports, report
from app.simulate.records import Records
from app.simulate.roster import tours
from app.simulate.truth import TrueDwell, true_dwell

__all__ = [
    "ACTIVITIES",
    "BACKGROUND",
    "MUNICIPALITY",
    "WAVE",
    "District",
    "Paths",
    "Records",
    "Reporting",
    "Reports",
    "Town",
    "Track",
    "TrueDwell",
    "Unit",
    "incidents",
    "live",
    "paths_of",
    "patrol",
    "pings",
    "report",
    "stream",
    "tours",
    "town",
    "true_dwell",
    "wave_centre",
]
