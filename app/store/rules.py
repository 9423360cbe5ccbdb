"""Rules of how long cells may be without a unit, and the alerts that they raised."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.tables import alerts, rules


@dataclass(frozen=True)
class Rule:
    """No unit in `cells` (H3 texts) for `idle_s` [s] is a breach, from `begins` to `ends`.

    These are local times HH:MM of the district's time zone; the window may go over midnight.
    """

    id: str
    name: str
    district: str
    cells: tuple[str, ...]
    begins: str
    ends: str
    idle_s: float


@dataclass(frozen=True)
class Alert:
    """A breach of a rule from `from_us` on; open while `until_us` is None [µs UTC].

    `closed_by`: `entry` of a unit, the end of the `window`, or the end or change of the `rule`.
    """

    id: str
    rule: str
    district: str
    from_us: int
    window_end_us: int
    until_us: int | None = None
    closed_by: str | None = None


def put_rule(c: Connection, rule: Rule, now_us: int) -> bool:
    """Whether the rule is new; one of that id that differs is replaced, and its alert closed."""
    old = get_rule(c, rule.id)
    if old == rule:
        return False
    values = {name: getattr(rule, name) for name in Rule.__dataclass_fields__}
    values["cells"] = list(rule.cells)
    if old is None:
        c.execute(insert(rules).values(values))
        return True
    _close_of(c, rule.id, now_us)
    c.execute(update(rules).where(rules.c.id == rule.id).values(values))
    return False


def delete_rule(c: Connection, id: str, now_us: int) -> bool:  # noqa: A002  the contract's word
    """Whether there was a rule of that id; its alerts stay, closed."""
    _close_of(c, id, now_us)
    return c.execute(delete(rules).where(rules.c.id == id)).rowcount > 0


def get_rule(c: Connection, id: str) -> Rule | None:  # noqa: A002  the contract's word
    """The rule of that id, or None."""
    row = c.execute(select(rules).where(rules.c.id == id)).first()
    return None if row is None else _rule(row)


def list_rules(c: Connection) -> list[Rule]:
    """All rules by id."""
    return [_rule(row) for row in c.execute(select(rules).order_by(rules.c.id))]


def add_alert(c: Connection, alert: Alert) -> bool:
    """Whether the alert is new: a breach raises one, however many look at once."""
    kind = postgresql if c.dialect.name == "postgresql" else sqlite
    values = {name: getattr(alert, name) for name in Alert.__dataclass_fields__}
    same = kind.insert(alerts).values(values)
    found = c.execute(same.on_conflict_do_nothing(index_elements=["rule", "from_us"]))
    return found.rowcount > 0


def close_alert(c: Connection, id: str, until_us: int, closed_by: str) -> None:  # noqa: A002  as above
    """Ends an alert; one that is closed already stays as it is."""
    mine = (alerts.c.id == id) & alerts.c.until_us.is_(None)
    c.execute(update(alerts).where(mine).values(until_us=until_us, closed_by=closed_by))


def list_alerts(
    c: Connection,
    from_us: int | None = None,
    to_us: int | None = None,
    *,
    only_open: bool = False,
    limit: int | None = None,
) -> list[Alert]:
    """Alerts that were open at some time in `[from_us, to_us)`, the newest first."""
    t = alerts.c
    query = select(alerts).order_by(t.from_us.desc(), t.rule).limit(limit)
    if only_open:
        query = query.where(t.until_us.is_(None))
    if from_us is not None:
        query = query.where(or_(t.until_us.is_(None), t.until_us > from_us))
    if to_us is not None:
        query = query.where(t.from_us < to_us)
    names = Alert.__dataclass_fields__
    return [Alert(**{n: row[n] for n in names}) for row in c.execute(query).mappings()]


def _close_of(c: Connection, rule: str, now_us: int) -> None:
    mine = (alerts.c.rule == rule) & alerts.c.until_us.is_(None)
    c.execute(update(alerts).where(mine).values(until_us=now_us, closed_by="rule"))


def _rule(row: Row[Any]) -> Rule:
    values = {name: getattr(row, name) for name in Rule.__dataclass_fields__}
    return Rule(**values | {"cells": tuple(row.cells)})
