"""The console script `focus-patrol`: the same use cases as the HTTP routes, from a shell.

Exit status: 0 done, 1 the work failed, 2 wrong usage. Errors are one line on standard error.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Puts patrol cars in the right place at the right time, and can prove that it did.",
)
keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="API keys.")
load = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Files into the database.")
app.add_typer(keys, name="keys")
app.add_typer(load, name="load")


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
        first = error.errors()[0]
        _fail(f"FOCUS_PATROL_{str(first['loc'][0]).upper()}: {first['msg']}", 2)
    except (FocusPatrolError, OSError, ValueError) as error:
        _fail(str(error), 1)


def now_us() -> int:
    """The clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from app.migrate import migrate as run

    run(Settings())


@app.command()
def serve(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Run the service until it is told to stop."""
    from app.main import serve as run

    run(Settings(), host, port)


@app.command()
def demo(port: int = 8000, no_serve: Annotated[bool, typer.Option("--no-serve")] = False) -> None:
    """Load the simulated town, plan its current shift, and serve it."""
    from app.demo import demo as run

    run(Settings(), port, serve=not no_serve)


@keys.command("add")
def keys_add(name: str, scope: Annotated[list[str], typer.Option("--scope")]) -> None:
    """Make a key with one or more scopes (ingest, view, plan, admin); it is shown once."""
    from app.keys import add_key

    typer.echo(add_key(_database(), name, scope, now_us()))


@keys.command("list")
def keys_list() -> None:
    """Name, scopes and state of each key, one a line; never the key."""
    from app.keys import list_keys

    for key in list_keys(_database()):
        state = "active" if key.revoked_us is None else "revoked"
        typer.echo(f"{key.name}\t{','.join(key.scopes)}\t{state}")


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


@app.command()
def plan(
    district: Annotated[str, typer.Option()],
    shift: Annotated[str, typer.Option()],
    date_: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"])],
    unit_hours: Annotated[float | None, typer.Option(help="Capacity of the shift.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the zones as GeoJSON.")] = None,
) -> None:
    """Plan one shift of a district; print the plan's id."""
    from app import planning

    request = planning.Request(district, shift, date_.date(), unit_hours, None)
    made = planning.plan_shift(_database(), Settings(), request, now_us())
    if out is not None:
        out.write_text(planning.zones_geojson(made), encoding="utf-8")
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

    counted = dosage_of_file(pings, profile, resolution, out)
    text = json.dumps(counted)
    if summary is not None:
        summary.write_text(text + "\n", encoding="utf-8")
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
