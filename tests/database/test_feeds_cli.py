"""`focus-patrol feeds pull`: what it prints and returns, and what it survives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.db import Database
from app.settings import Settings
from tests import portal as tricks
from tests.portal import Portal
from tests.puller import PROFILE, published, some, stored


@pytest.fixture
def feeds(portal: Portal, tmp_path: Path) -> Path:
    """A folder with one feed, `calls`, of five rows a page."""
    (tmp_path / "profile.toml").write_text(PROFILE)
    (tmp_path / "calls.toml").write_text(
        f"""kind = "socrata"
url = "{portal.url}/socrata"
profile = "profile.toml"
update_column = "changed"
token = "town"
page_size = 5
retry_s = 0.01
tries = 2
"""
    )
    return tmp_path


def start(settings: Settings, feeds: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "FOCUS_PATROL_DATABASE_URL": settings.database_url,
        "FOCUS_PATROL_FEEDS": str(feeds),
        "FOCUS_PATROL_FEED_TOKENS": '{"town": "s3cr3t"}',
    }
    program = "from app.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "feeds", "pull", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(settings: Settings, feeds: Path, *arguments: str) -> tuple[int, list[str], str]:
    process = start(settings, feeds, *arguments)
    out, err = process.communicate(timeout=60)
    assert "s3cr3t" not in out + err
    return process.returncode, out.splitlines(), err


def test_the_receipt_is_the_last_line_and_all_others_are_json(
    settings: Settings, feeds: Path, portal: Portal
) -> None:
    some(portal, 7)
    status, lines, err = run(settings, feeds, "calls", "--once")
    assert (status, err) == (0, "")
    receipt = json.loads(lines[-1])
    assert (receipt["feed"], receipt["received"], receipt["accepted"]) == ("calls", 7, 7)
    events = [json.loads(line)["event"] for line in lines[:-1]]
    assert events == ["feed_page", "feed_page", "feed_pulled"]
    assert portal.headers[0]["X-App-Token"] == "s3cr3t"
    again = json.loads(run(settings, feeds, str(feeds / "calls.toml"))[1][-1])
    assert (again["received"], again["accepted"]) == (0, 0)


def test_failures_are_1_with_the_receipt_so_far_and_wrong_usage_is_2(
    sqlite_settings: Settings, feeds: Path, portal: Portal
) -> None:
    some(portal, 7)
    portal.tricks = [None]
    portal.forever = tricks.status(503)
    status, lines, err = run(sqlite_settings, feeds, "calls")
    assert status == 1
    assert json.loads(lines[-1])["accepted"] == 5
    assert "could not be read in 2 tries: it answered 503" in err
    assert err.count("\n") == 1
    assert run(sqlite_settings, feeds, "nothing")[0] == 1
    assert run(sqlite_settings, feeds, "calls", "--once", "--every", "5")[0] == 2
    (feeds / "calls.toml").write_text('kind = "socrata"\nurl = "ftp://nowhere"\n')
    status, _, err = run(sqlite_settings, feeds, "calls")
    assert status == 1
    assert "url must be an address" in err


def test_killed_in_the_middle_it_goes_on_where_it_was(
    settings: Settings, feeds: Path, portal: Portal, database: Database
) -> None:
    some(portal, 12)
    portal.tricks = [None, None, tricks.silent(20)]
    process = start(settings, feeds, "calls")
    until = time.monotonic() + 30
    while len(portal.asked) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert len(stored(database)) == 9  # five, and the fifth again with four more
    receipt = json.loads(run(settings, feeds, "calls")[1][-1])
    assert (receipt["accepted"], receipt["duplicate"]) == (3, 0)
    assert stored(database) == published(portal)


def test_every_so_often_it_outlives_a_portal_that_is_away_and_ends_when_told(
    sqlite_settings: Settings, feeds: Path, portal: Portal
) -> None:
    some(portal, 3)
    portal.tricks = [tricks.status(500), tricks.status(500)]
    process = start(sqlite_settings, feeds, "calls", "--every", "1")
    assert process.stdout is not None
    receipts = []
    for line in process.stdout:
        if "received" in (found := json.loads(line)) and "event" not in found:
            receipts.append(found["accepted"])
        if len(receipts) == 2:
            break
    assert receipts == [0, 3]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
