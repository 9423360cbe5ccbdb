"""What is acknowledged survives: the service killed, the database gone, the order of arrival."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app import coverage
from app.db import Database
from app.migrate import migrate
from app.settings import Settings
from app.store.coverage import read_dwell
from app.store.pings import read_pings
from app.store.units import list_units
from tests.postgres import PostgresServer, settings_for
from tests.serving import Identity, Load, new_key, ping_of, serving, wait_until_ready

BEGIN_S = 1_700_000_000
EVER = (-(10**18), 10**18)


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Both databases; pings of any age are taken."""
    return settings.model_copy(update={"retention_days": 0, "derive_every_s": 0.2})


def stored(settings: Settings) -> list[Identity]:
    database = Database(settings)
    with database.read() as c:
        names = {unit.unit: unit.unit_id for unit in list_units(c)}
        found = read_pings(c, None, *EVER)
    database.close()
    rows = zip(found.unit.tolist(), (found.time_us // 10**6).tolist(), strict=True)
    return [(names[unit], second) for unit, second in rows]


def test_killed_under_load(
    patient: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    acknowledged: set[Identity] = set()
    key = new_key(patient)
    for run in range(request.config.getoption("--runs")):
        with serving(patient, tmp_path, key) as process:
            with Load(process, BEGIN_S + run * 100_000) as load:
                load.wait_for(random.Random(run).randint(50, 400))  # noqa: S311  any moment will do
                process.kill()
            acknowledged |= load.acknowledged
        there = stored(patient)
        assert acknowledged <= set(there)
        assert len(there) == len(set(there))
    with serving(patient, tmp_path, key) as process:
        some = sorted(acknowledged)[-1_000:]
        receipt = process.post([ping_of(*each) for each in some]).json()
    assert (receipt["accepted"], receipt["duplicate"]) == (0, len(some))


def test_postgres_stopped_and_started_under_load(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_for(own_server.url.render_as_string(), retention_days=0)
    migrate(settings)
    with serving(settings, tmp_path) as process, Load(process, BEGIN_S) as load:
        load.wait_for(100)
        for mode in ("fast", "immediate"):  # by its administrator, and as a loss of power would
            own_server.stop(mode)
            before = len(load.statuses)
            time.sleep(1)
            assert set(load.statuses[before + load.clients :]) <= {503}
            assert httpx.get(f"{process.address}/healthz").status_code == 200
            own_server.start()
            wait_until_ready(process)
            load.wait_for(100)
    assert set(load.statuses) == {200, 503}
    assert load.retry_after
    assert min(load.retry_after) > 0
    there = stored(settings)
    assert load.acknowledged <= set(there)
    assert len(there) == len(set(there))
    assert set(there) <= load.sent


def drive(units: int, minutes: int) -> list[Identity]:
    return [(f"car {unit}", BEGIN_S + 30 * k) for unit in range(units) for k in range(2 * minutes)]


def test_any_order_batching_and_repetition_from_four_clients_at_once(
    patient: Settings, tmp_path: Path
) -> None:
    # Four cars for a quarter of an hour, a ping each 30 s; one instant in ten has a second content,
    # which sorts later and must never stay.
    quiet = patient.model_copy(update={"derive_every_s": 0})
    items = [ping_of(*each) for each in drive(4, 15)]
    items += [item | {"lat": item["lat"] + 1} for item in items[::10]]

    def send(seed: int) -> int:
        order = random.Random(seed)  # noqa: S311  any order will do
        mine = [*items, *order.choices(items, k=20)]
        order.shuffle(mine)
        accepted = 0
        while mine:
            size = order.choice([1, 1, 7, 60])
            piece, mine = mine[:size], mine[size:]
            accepted += process.post(piece if size > 1 else piece[0]).json()["accepted"]
        return accepted

    with serving(quiet, tmp_path) as process, ThreadPoolExecutor(4) as clients:
        accepted = list(clients.map(send, range(4)))
    assert sum(accepted) == len(drive(4, 15))  # each identity new to one client, once
    facts, dwell = derived(quiet)
    expected_settings = Settings(
        **{**quiet.model_dump(), "database_url": f"sqlite:///{tmp_path}/alone.db"}
    )
    migrate(expected_settings)
    with serving(expected_settings, tmp_path) as process:
        for each in items[: len(drive(4, 15))]:
            assert process.post(each).status_code == 200
    assert (facts, dwell) == derived(expected_settings)


def derived(settings: Settings) -> tuple[object, object]:
    """All pings and all dwell, by the call signs of the units: their numbers are as they came."""
    database = Database(settings)
    coverage.derive(database, settings.plan_resolution)
    with database.read() as c:
        names = {unit.unit: unit.unit_id for unit in list_units(c)}
        found = read_pings(c, None, *EVER)
        dwell = read_dwell(c, -(2**31), 2**31 - 1)
    database.close()
    kept = (found.unit, found.time_us, found.lat, found.lon)
    facts = zip(*(column.tolist() for column in kept), strict=True)
    rows = zip(*(getattr(dwell, name).tolist() for name in vars(dwell)), strict=True)
    unit = list(vars(dwell)).index("unit")
    named = [(*row[:unit], names[row[unit]], *row[unit + 1 :]) for row in rows]
    return sorted((names[u], *rest) for u, *rest in facts), sorted(named)
