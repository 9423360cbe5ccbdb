"""Rules of inactivity, looked at again and again while the service runs."""

import uuid
from datetime import timedelta

from app.db import Database
from app.delivered import seen_in
from app.geo.absence import Breach, breaches
from app.geo.grid import from_text
from app.geo.presence import merged
from app.geo.stays import OFF_DUTY
from app.settings import Settings
from app.shifts import SECOND_US, Shift, instances, local_date
from app.store import districts, rules
from app.store.rules import Alert, Rule


def evaluate(database: Database, settings: Settings, now_us: int) -> int:
    """How many alerts were raised or closed: each rule judged by what is known now.

    Reads, and writes only where something changes. Raises DatabaseAway.
    """
    with database.read() as connection:
        every = rules.list_rules(connection)
        opened = {a.rule: a for a in rules.list_alerts(connection, only_open=True)}
        zones = {d.id: d.timezone for d in districts.list_districts(connection)} if every else {}
    return sum(
        _judge(database, settings, rule, zones[rule.district], opened.get(rule.id), now_us)
        for rule in every
    )


def window_of(rule: Rule, timezone: str, now_us: int) -> Shift | None:
    """The rule's window that an instant lies in, across midnight and clock changes."""
    today = local_date(now_us, timezone)
    times = {"on": rule.begins, "off": rule.ends}
    found = instances(times, timezone, today - timedelta(days=1), today)
    some = (found.at(k) for k in range(len(found)))
    return next((s for s in some if s.name == "on" and s.start_us <= now_us < s.end_us), None)


def _judge(
    database: Database,
    settings: Settings,
    rule: Rule,
    timezone: str,
    alert: Alert | None,
    now_us: int,
) -> int:
    changed = 0
    if alert is not None and now_us >= alert.window_end_us:
        changed += _close(database, alert, alert.window_end_us, "window")
        alert = None
    window = window_of(rule, timezone, now_us)
    if window is None:
        return changed
    cells = from_text(rule.cells)
    seen = seen_in(database, settings, [cells], window.start_us, now_us)
    stays = seen.stays.take(seen.stays.duty != OFF_DUTY)
    _, start_us, end_us = merged(stays.unit * 0, stays.start_us, stays.end_us)
    present = list(zip(start_us.tolist(), end_us.tolist(), strict=True))
    if alert is not None:
        entry_us = next((max(s, alert.from_us) for s, e in present if e > alert.from_us), None)
        if entry_us is None:
            return changed
        changed += _close(database, alert, entry_us, "entry")
    idle_us = int(rule.idle_s * SECOND_US)
    found = breaches(
        (window.start_us, window.end_us), present, list(seen.silent_us), idle_us, now_us
    )
    if found and found[-1].until_us is None and not seen.is_stale(now_us):
        changed += _raise(database, rule, found[-1], window)
    return changed


def _raise(database: Database, rule: Rule, breach: Breach, window: Shift) -> int:
    alert = Alert(str(uuid.uuid4()), rule.id, rule.district, breach.from_us, window.end_us)
    with database.write() as connection:
        if rules.get_rule(connection, rule.id) != rule:  # changed since it was judged
            return 0
        return int(rules.add_alert(connection, alert))


def _close(database: Database, alert: Alert, until_us: int, closed_by: str) -> int:
    with database.write() as connection:
        rules.close_alert(connection, alert.id, until_us, closed_by)
    return 1
