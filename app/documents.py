"""What answers and events say of units, plans, dosage and alerts: the contract's members."""

from collections.abc import Mapping
from typing import Any

from app import planning
from app.db import Database
from app.delivered import PlanDosage, plan_dosage
from app.events import View
from app.geo import fixes
from app.moments import text_of
from app.settings import Settings
from app.shifts import HOUR_US, SECOND_US
from app.store import plans, rules, units
from app.store.plans import Plan
from app.store.rules import Alert
from app.store.units import Unit

IDLE_SLACK_S = 120  # a report of a parked car may come late by its way and its clock
MOST_PLANS = 50  # whose shift is running


def view_of(database: Database, settings: Settings, now_us: int) -> View:
    """Units, the plans whose shift is running with their dosage, and alerts that are open or new.

    Raises DatabaseAway.
    """
    with database.read() as connection:
        known = units.list_units(connection)
        running = plans.list_plans(connection, None, now_us, now_us + 1, None, MOST_PLANS)
        alerts = rules.list_alerts(connection, now_us - HOUR_US)
    return {
        "units": {u.unit_id: unit_document(u, settings, now_us) for u in known},
        "plans": {p.id: plan_document(p) for p in running},
        "dosage": {
            p.id: dosage_document(plan_dosage(database, settings, p, now_us)) for p in running
        },
        "alerts": {a.id: alert_document(a) for a in alerts},
    }


def unit_document(unit: Unit, settings: Settings, now_us: int) -> dict[str, Any]:
    """What is known of a unit now; of a stale one the state is unknown, not the last one sent."""
    age_s = None if unit.last_us is None else max(0, now_us - unit.last_us) / SECOND_US
    stale = age_s is None or age_s > _patience_s(unit, settings)
    status = 0 if stale or unit.status is None else max(0, unit.status)
    return {
        "unit_id": unit.unit_id,
        "time": _text(unit.last_us),
        "age_s": age_s,
        "stale": stale,
        "status": fixes.STATUS[status],
        "lat": unit.lat,
        "lon": unit.lon,
        "speed_mps": unit.speed_mps,
        "heading_deg": unit.heading_deg,
        "idle_interval_s": unit.idle_interval_s,
        "clock_offset_s": unit.clock_offset_s,
    }


def _patience_s(unit: Unit, settings: Settings) -> float:
    """How long a unit may be silent [s]: boxes of parked cars report once in so many minutes."""
    if unit.idle_interval_s is None or not unit.still:
        return settings.stale_s
    return max(settings.stale_s, unit.idle_interval_s + IDLE_SLACK_S)


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan with the contract's members."""
    kept = ("unit_hours", "travel_s", "objective", "bound", "gap", "parameters", "version")
    return {
        "id": plan.id,
        "district": plan.district,
        "shift": {
            "name": plan.shift,
            "start": text_of(plan.start_us),
            "end": text_of(plan.end_us),
        },
        "status": plan.status,
        "data_until": text_of(plan.data_until_us),
        "zones": [planning.zone_members(zone) for zone in plan.zones],
        "dropped": [dict(zone) for zone in plan.dropped],
        "notes": list(plan.notes),
        **{name: getattr(plan, name) for name in kept},
    }


def dosage_document(dosage: PlanDosage) -> dict[str, Any]:
    """The dosage of a plan's zones with the contract's members."""
    zones = [
        {
            "id": zone.id,
            "status": zone.status,
            "target_s": zone.target_s,
            "delivered_s": zone.delivered_s,
            "remaining_s": zone.remaining_s,
            "visits": zone.visits,
            "last_visit": _text(zone.last_us),
        }
        for zone in dosage.zones
    ]
    return {"plan": dosage.plan, "as_of": text_of(dosage.as_of_us), "zones": zones}


def alert_document(alert: Alert) -> Mapping[str, Any]:
    """An alert; `until` is null while it is open."""
    return {
        "id": alert.id,
        "rule": alert.rule,
        "district": alert.district,
        "from": text_of(alert.from_us),
        "until": _text(alert.until_us),
        "closed_by": alert.closed_by,
    }


def _text(time_us: int | None) -> str | None:
    return None if time_us is None else text_of(time_us)
