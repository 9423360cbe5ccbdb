"""The console script `focus-patrol`: the same use cases as the HTTP routes, from a shell.

Exit status: 0 done, 1 the work failed, 2 wrong usage. Errors are one line on standard error.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from app.errors import FocusPatrolError
from app.settings import Settings

# Typer carries a Click of its own and does not export the base of its usage errors.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

Port = Annotated[int, typer.Option(min=0, max=65535)]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Puts patrol cars in the right place at the right time, and can prove that it did.",
)
keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="API keys.")
load = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Files into the database.")
feeds = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Incidents from portals.")
units = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What units are called.")
app.add_typer(keys, name="keys")
app.add_typer(load, name="load")
app.add_typer(feeds, name="feeds")
app.add_typer(units, name="units")


def main() -> None:
    """Runs one command; turns every foreseen failure into one line and an exit status."""
    try:
        status = app(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UsageError as error:
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        _fail(f"{said} (see focus-patrol --help)", 2)
    except typer.Abort:
        _fail("stopped; what was loaded stays, run the same command again to go on", 1)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(["FOCUS_PATROL", *(str(part).upper() for part in first["loc"])])
        _fail(f"{name}: {first['msg'].removeprefix('Value error, ')}", 2)
    except (FocusPatrolError, OSError, ValueError) as error:
        _fail(str(error), 1)
    except Exception as error:
        if Settings().log_level == "DEBUG":
            raise
        _fail(f"{type(error).__name__}: {error} (FOCUS_PATROL_LOG_LEVEL=DEBUG shows where)", 1)


def now_us() -> int:
    """The clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from app.migrate import migrate as run

    run(Settings())


@app.command()
def serve(
    host: str = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; more than 1 on PostgreSQL.")] = 1,
) -> None:
    """Run the service until it is told to stop."""
    from app.main import serve as run
    from app.workers import can_share, serve_many

    settings = Settings()
    if workers == 1:
        run(settings, host, port)
    elif can_share(settings):
        serve_many(settings, host, port, workers)
    else:
        raise typer.BadParameter(
            "SQLite has one writer; several workers need PostgreSQL as FOCUS_PATROL_DATABASE_URL",
            param_hint="--workers",
        )


@app.command()
def retain() -> None:
    """Delete pings that are older than the retention; what was derived of them stays."""
    from app.retention import retain as run

    done = run(_database(), Settings(), now_us())
    if done is None:
        raise FocusPatrolError("another process deletes old pings just now; there is nothing to do")
    typer.echo(json.dumps(asdict(done)))


@app.command()
def demo(port: Port = 8000, no_serve: Annotated[bool, typer.Option("--no-serve")] = False) -> None:
    """Load the simulated town, plan its current shift, and serve it."""
    from app.demo import demo as run

    run(Settings(), port, serve=not no_serve)


@app.command()
def listen(
    form: Annotated[str, typer.Option("--format", help="taip or nmea.")],
    allow: Annotated[list[str], typer.Option(help="Network that may send, as in 10.4.0.0/16.")],
    udp: Annotated[list[str] | None, typer.Option(help="HOST:PORT to hear datagrams on.")] = None,
    tcp: Annotated[list[str] | None, typer.Option(help="HOST:PORT to take connections on.")] = None,
    units: Annotated[Path | None, typer.Option(help="CSV with address,unit_id.")] = None,
    per_second: Annotated[
        float, typer.Option(min=0.01, help="Messages of one source address.")
    ] = 20.0,
) -> None:
    """Take positions of vehicle boxes over UDP and TCP until told to stop."""
    from app.listen import listen as run
    from app.listen import rules_of
    from app.main import configure_logs

    if not udp and not tcp:
        raise typer.BadParameter("say where to listen: --udp HOST:PORT, --tcp HOST:PORT or both")
    rules = rules_of(form, allow, units, per_second)
    configure_logs(Settings())
    run(_database(), Settings(), rules, udp or [], tcp or [], now_us)


@units.command("alias")
def units_alias(source: str, identifier: str, unit_id: str) -> None:
    """Make an identifier of a source (traccar, taip, …) stand for a unit."""
    from app.aliases import set_alias

    set_alias(_database(), source, identifier, unit_id)


@units.command("aliases")
def units_aliases() -> None:
    """Source, identifier and unit of each alias, one a line."""
    from app.aliases import list_aliases

    for alias in list_aliases(_database()):
        typer.echo(f"{alias.source}\t{alias.identifier}\t{alias.unit_id}")


@units.command("unalias")
def units_unalias(source: str, identifier: str) -> None:
    """End an alias; the identifier then is a call sign itself again."""
    from app.aliases import remove_alias

    remove_alias(_database(), source, identifier)


@keys.command("add")
def keys_add(
    name: str,
    scope: Annotated[list[str], typer.Option("--scope")],
    unit: Annotated[
        list[str] | None, typer.Option("--unit", help="Send pings of this unit only.")
    ] = None,
) -> None:
    """Make a key with one or more scopes (ingest, view, plan, admin); it is shown once."""
    from app.keys import add_key

    typer.echo(add_key(_database(), name, scope, now_us(), unit or None))


@keys.command("list")
def keys_list() -> None:
    """Name, scopes, state and, where limited, units of each key, one a line; never the key."""
    from app.keys import list_keys

    for key in list_keys(_database()):
        state = "active" if key.revoked_us is None else "revoked"
        units = "" if key.units is None else f"\t{', '.join(key.units)}"
        typer.echo(f"{key.name}\t{','.join(key.scopes)}\t{state}{units}")


@keys.command("revoke")
def keys_revoke(name: str) -> None:
    """End a key; within 5 s it opens nothing any more."""
    from app.keys import revoke_key

    revoke_key(_database(), name, now_us())


@load.command("districts")
def load_districts(
    file: Path,
    id_field: Annotated[str | None, typer.Option(help="Property that becomes the id.")] = None,
    name_field: Annotated[str | None, typer.Option(help="Property that becomes the name.")] = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of the districts.")] = "UTC",
    shifts: Annotated[str, typer.Option(help="Local start of each shift.")] = (
        "day=07:00,evening=15:00,night=23:00"
    ),
) -> None:
    """Load district polygons from any format that GDAL reads."""
    from app.load import load_districts as run

    _receipt(run(_database(), file, id_field, name_field, timezone, shifts))


@load.command("places")
def load_places(
    file: Path,
    kind: Annotated[
        str, typer.Option(help="station, garage, court, hospital or other, for all of them.")
    ] = "other",
    id_field: Annotated[str | None, typer.Option(help="Property that becomes the id.")] = None,
    name_field: Annotated[str | None, typer.Option(help="Property that becomes the name.")] = None,
) -> None:
    """Load places whose time is no patrol, from any format that GDAL reads."""
    from app.load import load_places as run

    _receipt(run(_database(), file, kind, id_field, name_field))


@load.command("incidents")
def load_incidents(file: Path, profile: str = "generic") -> None:
    """Load incidents; again changes nothing."""
    from app.load import load_incidents as run

    _loaded(run, file, profile)


@load.command("pings")
def load_pings(file: Path, profile: str = "generic") -> None:
    """Load GPS pings; again changes nothing."""
    from app.load import load_pings as run

    _loaded(run, file, profile)


@feeds.command("pull")
def feeds_pull(
    feed: Annotated[str, typer.Argument(help="A feed's TOML file, or its name.")],
    once: Annotated[bool, typer.Option("--once", help="Pull once; the default.")] = False,
    every: Annotated[float | None, typer.Option(min=1, help="Seconds between pulls.")] = None,
) -> None:
    """Pull what is new of a feed; again goes on from there."""
    from app import feeds as run
    from app.main import configure_logs

    if once and every is not None:
        raise typer.BadParameter("say --once or --every, not both")
    settings, stop = Settings(), threading.Event()
    configure_logs(settings)
    source = run.read_feed(feed, Path(settings.feeds))
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if every is not None:
        for pulled in run.keep_pulling(_database(), settings, source, now_us, stop, every):
            typer.echo(json.dumps(pulled.receipt))
        return
    pulled = run.pull(_database(), settings, source, now_us, stop)
    if pulled.failure is not None:
        typer.echo(json.dumps(pulled.receipt))
        raise pulled.failure
    _receipt(pulled.receipt)


@app.command()
def plan(
    district: Annotated[str, typer.Option()],
    shift: Annotated[str, typer.Option()],
    date_: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"])],
    unit_hours: Annotated[float | None, typer.Option(min=0, max=1e6, help="Capacity.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the zones as GeoJSON.")] = None,
) -> None:
    """Plan one shift of a district; print the plan's id."""
    from app import planning
    from app.files import write_text

    request = planning.Request(district, shift, date_.date(), unit_hours, None)
    made = planning.plan_shift(_database(), Settings(), request, now_us())
    if out is not None:
        write_text(out, planning.zones_geojson(made))
    typer.echo(made.id)


@app.command()
def dosage(
    pings: Path,
    resolution: Annotated[int, typer.Option(min=5, max=12)],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    summary: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    profile: str = "generic",
) -> None:
    """Turn a file of pings into dwell per unit, cell and hour, with no database."""
    from app.dosage import dosage_of_file
    from app.files import write_text

    counted = dosage_of_file(pings, profile, resolution, out)
    text = json.dumps(counted)
    if summary is not None:
        write_text(summary, text + "\n")
    typer.echo(text)


@app.command()
def backtest(
    incidents: Path,
    boundary: Annotated[Path, typer.Option(help="Polygons of the area.")],
    timezone: Annotated[str, typer.Option()],
    shifts: Annotated[str, typer.Option(help="As in day=07:00,night=19:00.")],
    resolution: Annotated[int, typer.Option(min=5, max=12)],
    test_from: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])],
    test_to: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    train_from: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    profile: str = "generic",
) -> None:
    """Judge the risk surface on past shifts, each from what was known before it began."""
    from app.backtest import Test, backtest_files

    train = train_from.date() if train_from else None
    test = Test(timezone, shifts, resolution, test_from.date(), test_to.date(), train)
    with _bar("shifts") as progress:
        report = backtest_files(incidents, profile, boundary, test, out, progress)
    typer.echo(json.dumps({"shifts": report["shifts"], "incidents": report["incidents"]}))


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _database() -> Any:
    from app.db import Database

    return Database(Settings())


def _loaded(run: Any, file: Path, profile: str) -> None:
    """A load with a progress bar on a terminal, and its receipt on the last line."""
    with _bar(file.name) as progress:
        receipt = run(_database(), Settings(), file, profile, now_us(), progress)
    _receipt(receipt)


def _receipt(receipt: dict[str, Any]) -> None:
    typer.echo(json.dumps(receipt))
    if receipt["received"] and receipt["rejected"] == receipt["received"]:
        raise FocusPatrolError("every row was rejected; the receipt above says why")


def _fail(message: str, status: int) -> None:
    print(f"focus-patrol: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  the one line
    sys.exit(status)
