"""The console script: what it prints, what it returns, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings

SQUARE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"code": "north", "label": "North"},
            "geometry": {
                "type": "Polygon",
                # About 4 by 5.5 km.
                "coordinates": [
                    [
                        [-79.75, 44.38],
                        [-79.70, 44.38],
                        [-79.70, 44.43],
                        [-79.75, 44.43],
                        [-79.75, 44.38],
                    ]
                ],
            },
        }
    ],
}


def run(
    settings: Settings, *arguments: str | Path, database: bool = True
) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, as a stranger would start it."""
    environment = os.environ | {"FOCUS_PATROL_RETENTION_DAYS": "0"}
    if database:
        environment["FOCUS_PATROL_DATABASE_URL"] = settings.database_url
    script = Path(sys.executable).with_name("focus-patrol")
    return subprocess.run(
        [script, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fails(settings: Settings, status: int, says: str, *arguments: str | Path) -> None:
    done = run(settings, *arguments)
    assert done.returncode == status, done
    assert says in done.stderr
    assert done.stderr.count("\n") == 1  # one line
    assert done.stdout == "" or "received" in done.stdout


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "districts.geojson").write_text(json.dumps(SQUARE))
    rows = ["incident_id,occurred_from,lat,lon,category"]
    # Ten nights of one incident each at one corner, and one row without a place.
    rows += [f"i{k},2026-05-{k:02d}T23:30:00-04:00,44.4051,-79.7251,assault" for k in range(1, 11)]
    rows.append("i11,2026-05-11T23:30:00-04:00,,,assault")
    (tmp_path / "incidents.csv").write_text("\n".join(rows) + "\n")
    pings = ["unit_id,time,lat,lon"]
    pings += [f"P-01,2026-05-11T20:{minute:02d}:00Z,44.41,-79.73" for minute in range(60)]
    (tmp_path / "pings.csv").write_text("\n".join(pings) + "\n")
    return tmp_path


def loaded(settings: Settings, files: Path) -> None:
    done = run(
        settings, "load", "districts", files / "districts.geojson", "--id-field", "code",
        "--name-field", "label", "--timezone", "America/Toronto",
        "--shifts", "day=07:00,night=19:00",
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["accepted"] == 1, done
    for kind, count, rejected in (("incidents", 10, 1), ("pings", 60, 0)):
        first, again = (run(settings, "load", kind, files / f"{kind}.csv") for _ in range(2))
        receipt = json.loads(first.stdout.splitlines()[-1])
        assert first.returncode == 0, first
        assert (receipt["accepted"], receipt["duplicate"]) == (count, 0)
        assert receipt["rejected"] == rejected
        receipt = json.loads(again.stdout.splitlines()[-1])
        assert (receipt["accepted"], receipt["duplicate"]) == (0, count)


def test_a_plan_from_files_in_five_commands(settings: Settings, files: Path) -> None:
    assert run(settings, "migrate").returncode == 0
    loaded(settings, files)
    out = files / "plan.geojson"
    asked = ["plan", "--district", "north", "--shift", "night", "--date", "2026-05-12"]
    done = run(settings, *asked, "--unit-hours", "2", "--out", out)
    assert done.returncode == 0, done
    assert len(done.stdout.split()) == 1  # the id
    zones = json.loads(out.read_text())["features"]
    assert [zone["properties"]["rank"] for zone in zones] == list(range(1, len(zones) + 1))
    assert zones[0]["properties"]["expected_incidents"] > 0
    assert zones[0]["properties"]["target_dosage_s"] <= 7200


def test_a_key_is_printed_once_alone_on_the_last_line(settings: Settings) -> None:
    made = run(settings, "keys", "add", "desk", "--scope", "view", "--scope", "ingest")
    key = made.stdout.splitlines()[-1]
    assert key.startswith("fp_")
    listed = run(settings, "keys", "list")
    assert listed.stdout == "desk\tview,ingest\tactive\n"
    assert key not in listed.stdout
    assert run(settings, "keys", "revoke", "desk").returncode == 0
    assert run(settings, "keys", "list").stdout == "desk\tview,ingest\trevoked\n"


def test_a_key_limited_to_units_is_listed_with_them(settings: Settings) -> None:
    made = run(
        settings, "keys", "add", "avl", "--scope", "ingest", "--unit", "P-01", "--unit", "P-02"
    )
    assert made.returncode == 0, made
    assert run(settings, "keys", "list").stdout == "avl\tingest\tactive\tP-01, P-02\n"
    fails(settings, 1, "ingest", "keys", "add", "b", "--scope", "view", "--unit", "P-01")
    fails(settings, 1, "printable", "keys", "add", "b", "--scope", "ingest", "--unit", " P")


def test_retaining_says_what_was_deleted(settings: Settings) -> None:
    done = run(settings, "retain")  # of a retention of 0 days, which keeps all
    assert json.loads(done.stdout) == {"days": 0, "rows": 0, "before_us": None}


def test_several_workers_need_postgresql(sqlite_settings: Settings) -> None:
    fails(sqlite_settings, 2, "PostgreSQL", "serve", "--workers", "2")
    fails(sqlite_settings, 2, "--workers", "serve", "--workers", "0")


def test_wrong_usage_is_2_and_work_that_fails_is_1_each_in_one_line(
    sqlite_settings: Settings, files: Path
) -> None:
    settings = sqlite_settings
    fails(settings, 2, "No such command", "plann")
    fails(settings, 2, "--district", "plan", "--shift", "day", "--date", "2026-05-12")
    fails(settings, 2, "--date", "plan", "--district", "a", "--shift", "b", "--date", "soon")
    asked = ["--district", "nowhere", "--shift", "day", "--date", "2026-05-12"]
    fails(settings, 1, "no district is called nowhere", "plan", *asked)
    fails(settings, 1, "scope", "keys", "add", "desk", "--scope", "everything")
    fails(settings, 1, "no active key", "keys", "revoke", "nobody")
    fails(settings, 1, "no file", "load", "pings", files / "missing.csv")
    fails(settings, 1, "no profile", "load", "pings", files / "pings.csv", "--profile", "martian")
    (files / "wrong.csv").write_text(
        "unit_id,time,lat,lon,mood\nP-01,2026-05-11T20:00:00Z,1,2,good\n"
    )
    fails(settings, 1, "mood", "load", "pings", files / "wrong.csv")


def test_a_database_that_was_never_migrated_says_so(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'new.db'}")
    fails(settings, 1, "focus-patrol migrate", "keys", "list")


def test_dosage_and_backtest_need_no_database(sqlite_settings: Settings, files: Path) -> None:
    out, summary = files / "dwell.parquet", files / "summary.json"
    done = run(
        sqlite_settings, "dosage", files / "pings.csv", "--resolution", "9", "--out", out,
        "--summary", summary,
    )  # fmt: skip
    assert done.returncode == 0, done
    # 60 pings a minute apart from one parked car: 59 minutes, all observed.
    counted = json.loads(summary.read_text())
    assert (counted["pings"], counted["kept"]) == (60, 60)
    assert (counted["observed_s"], counted["unobserved_s"], counted["span_s"]) == (3540, 0, 3540)
    done = run(
        sqlite_settings, "backtest", files / "incidents.csv", "--boundary",
        files / "districts.geojson", "--timezone", "America/Toronto", "--shifts",
        "day=07:00,night=19:00", "--resolution", "9", "--test-from", "2026-05-06", "--test-to",
        "2026-05-10", "--out", files / "test",
    )  # fmt: skip
    assert done.returncode == 0, done
    report = json.loads((files / "test" / "report.json").read_text())
    assert (report["shifts"], report["incidents"]) == (10, 5)
    assert (files / "test" / "surfaces.parquet").exists()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "mysql://u:secret@host/db", "no database known here"),
        ("LOG_LEVEL", "loud", "FOCUS_PATROL_LOG_LEVEL"),
        ("PLAN_RESOLUTION", "11", "is finer than FOCUS_PATROL_RESOLUTION"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"FOCUS_PATROL_{name}", value)
    done = run(sqlite_settings, "keys", "list", database=name != "DATABASE_URL")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert says in done.stderr
    assert "secret" not in done.stderr


def test_what_cannot_be_capacity_or_a_port_is_wrong_usage(sqlite_settings: Settings) -> None:
    asked = ("plan", "--district", "a", "--shift", "b", "--date", "2026-05-12", "--unit-hours")
    fails(sqlite_settings, 2, "--unit-hours", *asked, "-1")
    fails(sqlite_settings, 2, "--port", "serve", "--port", "99999")


def test_what_is_no_plain_file_is_not_replaced(sqlite_settings: Settings, files: Path) -> None:
    asked = ("dosage", files / "pings.csv", "--resolution", "9", "--out")
    fails(sqlite_settings, 1, "no plain file", *asked, files)
