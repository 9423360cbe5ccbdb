"""What `focus-patrol demo` does: load, plan, say where to look, serve."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

import typer

from app import planning, simulate
from app.db import Database
from app.demo.feed import HOST, keep_moving, shift_at
from app.demo.load import load_town
from app.deps import now_us
from app.errors import FocusPatrolError
from app.keys import add_key, list_keys, revoke_key
from app.main import serve as run_service
from app.migrate import migrate
from app.settings import Settings
from app.shifts import DAY_US, SECOND_US
from app.store.plans import Plan

DATABASE_URL = "sqlite:///focus-patrol-demo.db"
SEED = 1
HISTORY_DAYS = 90
KEY_PREFIX = "demo-"


def demo(settings: Settings, port: int, serve: bool) -> None:
    """Loads what is new of the simulated town, plans its current shift, prints where to look.

    With `serve`, runs the service on the loopback address and sends it live pings until stopped.
    Raises FocusPatrolError where the port is taken, DatabaseAway.
    """
    if serve:
        _refuse_taken_port(port)
    settings = demo_settings(settings)
    started_us = now_us()
    migrate(settings)
    with closing(Database(settings)) as database:
        town = simulate.town(SEED)
        load_town(database, settings, town, started_us - HISTORY_DAYS * DAY_US, started_us)
        plans = plan_now(database, settings, town, started_us)
        key, feed_key = _new_keys(database, started_us)
    _say(plans, key, port)
    if serve:
        arguments = (town, port, feed_key, started_us, now_us)
        threading.Thread(target=keep_moving, args=arguments, daemon=True).start()
        run_service(settings, HOST, port)


def demo_settings(settings: Settings) -> Settings:
    """The settings with a database file of the demo's own and its whole history, unless set."""
    wanted = {"database_url": DATABASE_URL, "retention_days": 0}
    given = settings.model_fields_set
    return settings.model_copy(update={k: v for k, v in wanted.items() if k not in given})


def plan_now(database: Database, settings: Settings, town: simulate.Town, at_us: int) -> list[Plan]:
    """A plan of the current shift for each district of the town, the whole town first."""
    shift, day = shift_at(town, at_us)
    return [
        planning.plan_shift(database, settings, planning.Request(area.id, shift.name, day), at_us)
        for area in town.districts
    ]


def _new_keys(database: Database, at_us: int) -> tuple[str, str]:
    """A key for whoever looks, and one for the cars; those of earlier runs end."""
    for known in list_keys(database):
        if known.name.startswith(KEY_PREFIX) and known.revoked_us is None:
            revoke_key(database, known.name, at_us)
    moment = datetime.fromtimestamp(at_us / SECOND_US, UTC)
    name = f"{KEY_PREFIX}{moment:%Y%m%dT%H%M%S.%f}"
    return (
        add_key(database, name, ["admin"], at_us),
        add_key(database, f"{name}-cars", ["ingest", "plan"], at_us),
    )


def _say(plans: Sequence[Plan], key: str, port: int) -> None:
    """Where to look, as plain lines; the key stands alone on the last one."""
    base = f"http://{HOST}:{port}"
    for line in _lines(plans, base, key):
        typer.echo(line)
    typer.echo("The key in these addresses (scope admin; it goes as Authorization: Bearer, too):")
    typer.echo(key)


def _lines(plans: Sequence[Plan], base: str, key: str) -> Iterator[str]:
    whole = plans[0]
    hours = f"{whole.unit_hours:g} unit-hours"
    yield f"{simulate.MUNICIPALITY}, {whole.shift} shift: {len(whole.zones)} zones for {hours}"
    for zone in whole.zones[:3]:
        yield f"  {zone.rank}. {zone.visits} visits; {zone.reasons[0] if zone.reasons else ''}"
    yield "Page             " + base + "/"
    yield "API              " + base + "/docs"
    for plan in plans:
        yield f"{plan.district:16} {base}/v1/plans/{plan.id}/zones?api_key={key}"


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise FocusPatrolError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from error
