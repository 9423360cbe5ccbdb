"""Made-up fleets: tracks with stops, drives, silences and every error that cleaning knows."""

import numpy as np
from hypothesis import strategies as st

from app.geo.fixes import STATUS, Pings

START_S = 1_700_000_000 // 3600 * 3600
KINDS = ("drive", "walk", "stand", "silence", "spike", "stuck", "two boxes", "nowhere", "again")


@st.composite
def fleets(draw: st.DrawFn, units: int = 3, parts: int = 12) -> Pings:
    """Pings of up to so many units, each a sequence of up to so many parts; sorted."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, ...]] = []
    for unit in range(draw(st.integers(1, units))):
        east, north = rng.uniform(-2000, 2000, 2)
        clock = float(draw(st.integers(0, 7200)))
        for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=parts)):
            every = float(rng.choice([1, 5, 10, 15, 30, 60, 120, 300]))
            heading = rng.uniform(0, 2 * np.pi)
            speed = {"drive": rng.uniform(3, 30), "walk": 1.0, "stuck": 0.0}.get(kind, 0.0)
            far = rng.uniform(5_000, 50_000)
            if kind == "silence":
                clock += rng.uniform(100, 9_000)
            for step in range(int(rng.integers(1, 25))):
                clock += every * rng.uniform(0.5, 1.5) if rng.random() < 0.5 else every
                east += speed * np.cos(heading) * every
                north += speed * np.sin(heading) * every
                noise = rng.normal(0, 5, 2) if kind != "stuck" else (0.0, 0.0)
                away = (kind == "spike" and step == 1) or (kind == "two boxes" and step % 2)
                lat = 37.75 + (north + noise[1] + far * away) / 111_195
                lon = -122.4 + (east + noise[0]) / 88_000
                if kind == "nowhere" and step == 0:
                    lat, lon = [(np.nan, 0.0), (91.0, 0.0), (0.0, 0.0), (np.inf, 5.0)][
                        int(rng.integers(4))
                    ]
                told = rng.random() < 0.5
                row = (
                    unit,
                    (START_S + clock) * 1e6,
                    lat,
                    lon,
                    rng.uniform(0, 20) if told else np.nan,
                    rng.uniform(0, 360) if told else np.nan,
                    rng.choice([5.0, 20.0, 500.0], p=[0.6, 0.3, 0.1]) if told else np.nan,
                    rng.integers(-1, len(STATUS)),
                )
                rows.append(row)
                if kind == "again" and step % 3 == 0:
                    rows.append((*row[:3], row[3] + rng.choice([0.0, 0.001]), *row[4:]))
    return _pings(rows).ordered()


def _pings(rows: list[tuple[float, ...]]) -> Pings:
    columns = np.array(rows, dtype=np.float64).T
    whole = columns[:2].round().astype(np.int64)
    return Pings(whole[0], whole[1], *columns[2:7], columns[7].astype(np.int8))
