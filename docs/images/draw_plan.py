"""Draws docs/images/plan.svg: the simulated town, its expected harm, and the zones of a shift.

Run from the checkout: .venv/bin/python docs/images/draw_plan.py
"""

import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import shapely

from app import planning, simulate
from app.db import Database
from app.demo.load import load_town
from app.geo import geojson
from app.migrate import migrate
from app.settings import Settings
from app.shifts import DAY_US, instance
from app.simulate.streets import degrees
from app.store.plans import Plan, PlanCells, cells_of

SEED = 1
DAY = date(2026, 6, 12)  # a Friday: the bars are the hot spot
WIDTH, HEIGHT, MARGIN = 900, 760, 12
SHADES = ("#f4f1ea", "#f6e3b4", "#f2c46d", "#e8963e", "#d05a2a", "#9c2a1d")
HERE = Path(__file__).parent


def main() -> None:
    """Plans the shift in a database of its own and writes the drawing."""
    town = simulate.town(SEED)
    whole = town.districts[0]
    shift = instance(whole.shifts, whole.timezone, "evening", DAY)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/town.db", retention_days=0)
        migrate(settings)
        database = Database(settings)
        load_town(database, settings, town, shift.start_us - 90 * DAY_US, shift.start_us)
        request = planning.Request(whole.id, shift.name, DAY, 3.0)
        plan = planning.plan_shift(database, settings, request, shift.start_us)
        with database.read() as connection:
            cells = cells_of(connection, plan.id)
        database.close()
    (HERE / "plan.svg").write_text(drawing(town, whole.polygon, plan, cells), encoding="utf-8")


def drawing(town: simulate.Town, area: shapely.Geometry, plan: Plan, cells: PlanCells) -> str:
    """The map as SVG text."""
    west, south, east, north = area.bounds
    across = (east - west) * np.cos(np.radians((south + north) / 2))
    scale = min((WIDTH - 2 * MARGIN) / across, (HEIGHT - 2 * MARGIN) / (north - south))

    def place(lon_lat: np.ndarray) -> np.ndarray:
        x = (lon_lat[:, 0] - west) / (east - west) * across * scale + MARGIN
        y = (north - lon_lat[:, 1]) * scale + MARGIN
        return np.stack([x, y], axis=1)

    ranks = np.searchsorted(
        np.quantile(cells.expected_harm, (0.5, 0.75, 0.9, 0.97, 0.99)), cells.expected_harm
    )
    hexagons = geojson.hexagons(cells.cell)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="sans-serif">',
        "<title>Zones for the evening shift of the simulated town</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#dfe7ea"/>',
        *(
            f'<path d="{path(place, [hexagon])}" fill="{SHADES[rank]}"/>'
            for hexagon, rank in zip(hexagons, ranks.tolist(), strict=True)
        ),
        f'<path d="{" ".join(streets(town, place))}" stroke="#8a8a86" stroke-width=".5"/>',
    ]
    for zone in plan.zones:
        outline = path(place, zone.geometry.geoms)
        x, y = place(np.array([zone.geometry.representative_point().coords[0]]))[0]
        parts += [
            f'<path d="{outline}" fill="none" stroke="#fff" stroke-width="6"/>',
            f'<path d="{outline}" fill="#1c4f8a33" stroke="#1c4f8a" stroke-width="3"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="13" fill="#1c4f8a"/>',
            f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-size="14"'
            f' font-weight="700" fill="#fff">{zone.rank}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def path(place: object, polygons: Iterable[shapely.Polygon]) -> str:
    """Polygons as SVG path data."""
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return " ".join(f"{line(place(shapely.get_coordinates(ring)))}Z" for ring in rings)


def line(points: np.ndarray) -> str:
    """Points as SVG path data."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points.tolist())


def streets(town: simulate.Town, place: object) -> list[str]:
    """Every street as SVG path data; the bay cuts some short."""
    grid = town.streets
    lines: list[Sequence[tuple[float, float]]] = []
    for x in grid.x_m.tolist():
        lowest = grid.bay_y_m if x > grid.bay_x_m else -grid.edge_m
        lines.append([(x, lowest), (x, grid.edge_m)])
    for y in grid.y_m.tolist():
        furthest = grid.bay_x_m if y < grid.bay_y_m else grid.edge_m
        lines.append([(-grid.edge_m, y), (furthest, y)])
    found = []
    for ends in lines:
        lat, lon = degrees(grid, *np.array(ends).T)
        found.append(line(place(np.stack([lon, lat], axis=1))))
    return found


if __name__ == "__main__":
    main()
