"""A throw-away PostgreSQL with PostGIS, and settings for databases under test."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url

from app.settings import Settings


class NotInstalled(Exception):
    """What is missing to run a PostgreSQL here."""


class PostgresServer:
    """A throw-away PostgreSQL that flushes to disk as a real one, reached by a socket in `folder`.

    No port is opened, so that any number of them can run side by side.
    """

    def __init__(self, folder: Path) -> None:
        """Creates and starts nothing yet. Raises NotInstalled."""
        self.folder = folder
        self.url = make_url(f"postgresql+psycopg://postgres@/postgres?host={folder}")
        self._programs = _postgres_programs()

    def create(self) -> None:
        """Makes an empty cluster."""
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=60"
        self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` as a loss of power would. Nothing where it does not run."""
        with suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "stop", "-w", "-m", mode)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, "-D", self.folder / "data", *arguments]
        owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        subprocess.run(
            command,
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner and owner.pw_uid,
            group=owner and owner.pw_gid,
            extra_groups=[] if owner else None,
        )


def settings_for(database_url: str, **others: Any) -> Settings:
    """Settings of a database, with a short patience so that tests of failures are quick."""
    return Settings(database_url=database_url, **{"busy_timeout_s": 2.0, **others})


def _postgres_programs() -> Path:
    """Where initdb and pg_ctl are, of the newest version. Raises NotInstalled."""
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise NotInstalled("PostGIS: there is no user postgres to run it as") from None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise NotInstalled("PostGIS: neither FOCUS_PATROL_TEST_POSTGRES nor a local PostgreSQL")
    return found[-1].parent if found else Path(str(on_path)).parent


@contextmanager
def maintenance(url: URL) -> Iterator[Connection]:
    """A connection on which each statement stands by itself."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
