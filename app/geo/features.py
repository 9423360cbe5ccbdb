"""What history says about each cell before a shift: decayed rates, streamed through time.

Every feature is an expected number of incidents of the coming shift by itself: a decayed count
over the decayed time on record, times the shift's length. Scopes say which past shifts count:
`all` of them, those of the `same` name, of that name in the same part of the week (`weekend` or
not), or of that name and `weekday`. A shift's weekday is that of its middle, so that the night
after Friday is weekend. Rings hand each incident to the neighbours of its cell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.geo.grid import Grid, index_of, neighbours, parents
from app.geo.risk import (
    DEFAULTS,
    Floats,
    Incidents,
    Ints,
    RiskParameters,
    latest_us,
    moment_us,
    severities,
    usable,
)
from app.shifts import DAY_US, Shifts

EVER = float("inf")
WEEKEND = (5, 6)  # Saturday, Sunday
FORGOTTEN = 40  # half-lives after which a count is below 1e-12 of itself
REBASE = 200  # half-lives after which the scale of a count is renewed; 2^1023 is the limit


class Feature(NamedTuple):
    """One way of counting the past; `ring` 0 is the cell itself."""

    scope: str
    half_life_days: float = EVER
    ring: int = 0

    @property
    def name(self) -> str:
        """Such as `same_365` or `ring1_all_7`."""
        days = "ever" if self.half_life_days == EVER else f"{self.half_life_days:g}"
        text = self.scope if self.scope == "district" else f"{self.scope}_{days}"
        return f"ring{self.ring}_{text}" if self.ring else text


LIVES = (2.0, 7.0, 30.0, 120.0, 365.0, EVER)
# Half-lives from the days of a near repeat to the years of a stable place; two rings of
# neighbours, about 350 and 700 m at resolution 9.
# Source: Johnson & Bowers (2004), doi:10.1057/palgrave.sj.8340174, and Ratcliffe & Rengert
# (2008), doi:10.1057/palgrave.sj.8350068 (near repeats within weeks and hundreds of metres);
# Weisburd (2015), doi:10.1111/1745-9125.12070 (stability of places).
FEATURES = (
    *(Feature(scope, life) for scope in ("all", "same", "weekend") for life in LIVES),
    *(Feature("weekday", life) for life in (120.0, 365.0, EVER)),
    *(Feature("all", life, ring=1) for life in (2.0, 7.0, 30.0, 365.0)),
    *(Feature("same", life, ring=1) for life in (7.0, 120.0, 365.0, EVER)),
    *(Feature("all", life, ring=2) for life in (7.0, 30.0)),
    *(Feature("same", life, ring=2) for life in (365.0, EVER)),
    Feature("district", 365.0),  # the same rate in every cell
)


@dataclass(frozen=True)
class Evidence:
    """Usable incidents of a grid, a row per incident and kind of shift it may have happened in.

    Sorted by `latest_us`, when they had happened and were known. `group` is the name of the
    shift x 7 + the weekday of its middle; `weight` (n,) the share of the incident in that group,
    1 where its moment is known; `harm` its severity; `origin` its position in the incidents.
    """

    latest_us: Ints
    moment_us: Ints
    where: Ints
    group: Ints
    weight: Floats
    harm: Floats
    origin: Ints


def group_of(shifts: Shifts) -> Ints:
    """The group of each shift: (k,) int64."""
    return shifts.name.astype(np.int64) * 7 + shifts.middle_weekday


def evidence_of(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    severity: Mapping[str, float],
    parameters: RiskParameters = DEFAULTS,
) -> Evidence:
    """The incidents that may count, each spread over the kinds of shift it may belong to.

    What happened before the first shift is not used. Empty where nothing is usable.

    Source: Ratcliffe (2000), aoristic analysis, doi:10.1080/136588100424963.
    """
    began_us = int(shifts.start_us[0]) if len(shifts) else np.iinfo(np.int64).max
    fit = np.flatnonzero(usable(incidents, parameters) & (incidents.time_us >= began_us))
    where = index_of(grid, parents(incidents.cell[fit], grid.resolution))
    fit, where = fit[where >= 0], where[where >= 0]
    inside = incidents.take(fit)
    group = group_of(shifts)
    spans = inside.to_us > inside.time_us
    at = np.searchsorted(shifts.start_us, inside.time_us, side="right") - 1
    sure = np.flatnonzero(~spans & (inside.time_us < np.append(shifts.end_us, 0)[at]))
    row, of_group, share = _spread_spans(inside, np.flatnonzero(spans), shifts, group)
    rows = np.concatenate([sure, row])
    latest = latest_us(inside)[rows]
    order = np.lexsort((rows, latest))
    rows = rows[order]
    return Evidence(
        latest[order],
        moment_us(inside)[rows],
        where[rows],
        np.concatenate([group[at[sure]], of_group])[order],
        np.concatenate([np.ones(len(sure)), share])[order],
        severities(inside, severity)[rows],
        fit[rows],
    )


def stream(
    evidence: Evidence,
    grid: Grid,
    shifts: Shifts,
    tested: Sequence[int],
    features: Sequence[Feature] = FEATURES,
    harm: bool = False,
    cut_us: int | None = None,
) -> Iterator[tuple[int, Floats]]:
    """The features of each tested shift, in order: its position and (v, k, m) float64.

    v is 1, or 2 with `harm`: the same counts weighted by severity. Nothing known at or after a
    shift's start is used, nor at or after `cut_us`. Memory grows with cells x features.
    """
    if not len(tested):
        return
    group = group_of(shifts)
    needed = np.unique(group[np.asarray(tested)])
    counts = _Counts(len(grid.cells), len(shifts.names), features, 2 if harm else 1, needed)
    rings = _rings(grid)
    seen = passed = 0
    for i in tested:
        now_us = int(shifts.start_us[i]) if cut_us is None else min(int(shifts.start_us[i]), cut_us)
        known = int(np.searchsorted(evidence.latest_us, now_us))
        over = int(np.searchsorted(shifts.start_us, now_us))
        counts.renew(now_us)
        counts.add(evidence, slice(seen, known))
        counts.pass_over(shifts, group, slice(passed, over), now_us)
        seen, passed = known, over
        length_days = float(shifts.end_us[i] - shifts.start_us[i]) / DAY_US
        yield i, _all_features(counts, features, rings, int(group[i]), now_us, length_days)


class _Counts:
    """Decayed counts per scope and half-life, scaled so that time passing changes nothing.

    A count of the past is kept as weight x 2^((moment - epoch) / half-life); reading multiplies
    by 2^(-(now - epoch) / half-life).
    """

    def __init__(
        self, cells: int, names: int, features: Sequence[Feature], values: int, needed: Ints
    ) -> None:
        """`needed`: the groups that will be read; the others are not counted."""
        self.cells = cells
        self.values = values
        self.slots = _slots(names)
        self.scopes: dict[float, list[str]] = {}
        for feature in features:
            scope = "same" if feature.scope == "district" else feature.scope
            known = self.scopes.setdefault(feature.half_life_days, [])
            known += [scope] if scope not in known else []
        self.kinds = [(scope, life) for life, scopes in self.scopes.items() for scope in scopes]
        self.wanted = {scope: np.isin(slot, slot[needed]) for scope, slot in self.slots.items()}
        sizes = {scope: int(slot.max(initial=-1)) + 1 for scope, slot in self.slots.items()}
        self.count = {(s, life): np.zeros((values, sizes[s], cells)) for s, life in self.kinds}
        self.days = {(s, life): np.zeros(sizes[s]) for s, life in self.kinds}
        self.epoch: dict[float, int] = {}

    def renew(self, now_us: int) -> None:
        """Moves the epoch where the scale would become too large."""
        for life, scopes in self.scopes.items():
            age = (now_us - self.epoch.setdefault(life, now_us)) / DAY_US / life
            if age > REBASE:
                for scope in scopes:
                    self.count[scope, life] *= 2.0**-age
                    self.days[scope, life] *= 2.0**-age
                self.epoch[life] = now_us

    def add(self, evidence: Evidence, rows: slice) -> None:
        """Counts what became known."""
        if rows.start == rows.stop:
            return
        moment, group = evidence.moment_us[rows], evidence.group[rows]
        where, weight, harm = evidence.where[rows], evidence.weight[rows], evidence.harm[rows]
        for life, scopes in self.scopes.items():
            age = (moment - self.epoch[life]) / DAY_US / life
            young = age > -FORGOTTEN
            scaled = weight * np.exp2(age)
            for scope in scopes:
                kept = np.flatnonzero(young & self.wanted[scope][group])
                into = self.slots[scope][group[kept]] * self.cells + where[kept]
                flat = self.count[scope, life].reshape(self.values, -1)
                np.add.at(flat[0], into, scaled[kept])
                if self.values > 1:
                    np.add.at(flat[1], into, scaled[kept] * harm[kept])

    def pass_over(self, shifts: Shifts, group: Ints, over: slice, now_us: int) -> None:
        """Counts the time on record of the shifts that have begun, up to now."""
        start, end = shifts.start_us[over], np.minimum(shifts.end_us[over], now_us)
        for life, scopes in self.scopes.items():
            if np.isinf(life):
                days = (end - start) / DAY_US
            else:
                ended = np.exp2((end - self.epoch[life]) / (life * DAY_US))
                began = np.exp2((start - self.epoch[life]) / (life * DAY_US))
                days = (ended - began) * (life / np.log(2))
            for scope in scopes:
                np.add.at(self.days[scope, life], self.slots[scope][group[over]], days)

    def rate(self, kind: tuple[str, float], group: int, now_us: int, length_days: float) -> Floats:
        """Expected in a shift of that group and length: (v, m); at least one shift on record."""
        slot = self.slots[kind[0]][group]
        faded = 2.0 ** (-(now_us - self.epoch[kind[1]]) / DAY_US / kind[1])
        days = max(float(self.days[kind][slot]) * faded, length_days)
        result: Floats = self.count[kind][:, slot] * (faded * length_days / days)
        return result


def _slots(names: int) -> dict[str, Ints]:
    """For each scope, which groups share a count: (names x 7,) int64."""
    group = np.arange(names * 7)
    weekend = np.isin(group % 7, WEEKEND)
    return {
        "all": np.zeros(names * 7, dtype=np.int64),
        "same": group // 7,
        "weekend": group // 7 * 2 + weekend,
        "weekday": group,
    }


class _Ring(NamedTuple):
    """Which cells lie in a ring around each: `cells` (m, r), the cell m where there is none."""

    cells: Ints
    per_cell: Floats  # (m,) 1 / how many there are; 0 where none
    alone: Floats  # (m,) 1 where there is none, so that the cell keeps its own

    def spread(self, values: Floats) -> Floats:
        """Each cell's values handed out in equal parts to its ring: (..., m) to (..., m)."""
        padded = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
        padded[..., :-1] = values * self.per_cell
        result: Floats = values * self.alone
        for column in self.cells.T:
            result = result + padded[..., column]
        return result


def _rings(grid: Grid) -> tuple[_Ring, _Ring]:
    """The first and the second ring of each cell, inside the grid."""
    first = neighbours(grid)
    m = len(first)
    own = np.arange(m)[:, None]
    reached = np.append(first, np.full((1, first.shape[1]), -1), axis=0)[first].reshape(m, -1)
    nearer = np.concatenate([own, first], axis=1)
    reached[(reached[:, :, None] == nearer[:, None, :]).any(axis=2)] = -1
    reached.sort(axis=1)
    reached[:, 1:][reached[:, 1:] == reached[:, :-1]] = -1
    reached.sort(axis=1)
    return _ring(first), _ring(reached[:, -12:])


def _ring(cells: Ints) -> _Ring:
    many = (cells >= 0).sum(axis=1)
    per_cell = np.where(many > 0, 1 / np.maximum(many, 1), 0.0)
    return _Ring(np.where(cells >= 0, cells, len(cells)), per_cell, (many == 0).astype(np.float64))


def _all_features(
    counts: _Counts,
    features: Sequence[Feature],
    rings: Sequence[_Ring],
    group: int,
    now_us: int,
    length_days: float,
) -> Floats:
    rates = {kind: counts.rate(kind, group, now_us, length_days) for kind in counts.kinds}
    result = np.zeros((len(next(iter(counts.count.values()))), len(features), counts.cells))
    for ring in (0, 1, 2):
        here = [k for k, f in enumerate(features) if f.ring == ring and f.scope != "district"]
        if not here:
            continue
        own = np.stack([rates[features[k].scope, features[k].half_life_days] for k in here], axis=1)
        result[:, here] = rings[ring - 1].spread(own) if ring else own
    for k, feature in enumerate(features):
        if feature.scope == "district" and counts.cells:
            result[:, k] = rates["same", feature.half_life_days].mean(axis=1, keepdims=True)
    return result


def _spread_spans(
    incidents: Incidents, spans: Ints, shifts: Shifts, group: Ints
) -> tuple[Ints, Ints, Floats]:
    """Rows, groups and shares of incidents whose moment is not known."""
    none = np.zeros(0, dtype=np.int64)
    if not len(spans) or not len(shifts):
        return none, none, np.zeros(0)
    knots = np.append(shifts.start_us, shifts.end_us[-1:])
    lengths = shifts.end_us - shifts.start_us
    first, last = incidents.time_us[spans], incidents.to_us[spans]
    rows, groups, shares = [none], [none], [np.zeros(0)]
    for g in np.unique(group):
        passed = np.concatenate([[0], np.cumsum(np.where(group == g, lengths, 0))])
        share = (np.interp(last, knots, passed) - np.interp(first, knots, passed)) / (last - first)
        some = np.flatnonzero(share > 0)
        rows.append(spans[some])
        groups.append(np.full(len(some), g))
        shares.append(share[some])
    return np.concatenate(rows), np.concatenate(groups), np.concatenate(shares)
