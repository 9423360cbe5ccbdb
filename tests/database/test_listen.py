"""Boxes that send over UDP and TCP: who is heard, as whom, and that it is on disk."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from app import aliases
from app.db import Database
from app.errors import BadInput
from app.listen import Listener, Rules, rules_of
from app.listen.ear import Ear
from app.listen.rules import host_and_port, units_of_file
from app.settings import Settings
from app.store.units import list_units

NOW_US = 1_704_283_200_000_000  # 2024-01-03 12:00 UTC, second 43,200 of its day
LOCAL = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PING = b">RPV43190+4450000-0798000001018012;ID=1234<"  # ten seconds ago
RMC = b"$GPRMC,115950,A,4430.0000,N,07948.0000,W,10.0,180.0,030124,,\r\n"
GGA = b"$GPGGA,115950,4430.0000,N,07948.0000,W,1,08,2.0,100.0,M,,M,,\r\n"


def heard(database: Database, rules: Rules, send: Callable[[list[tuple[str, int]]], None]) -> Ear:
    """What a listener made of what `send` sends it; it has ended when this returns."""

    async def run() -> Ear:
        listener = Listener(database, Settings(retention_days=0), rules, lambda: NOW_US)
        running = asyncio.create_task(listener.run(["127.0.0.1:0"], ["127.0.0.1:0"]))
        while len(listener.addresses) < 2 and not running.done():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(send, listener.addresses)
        await asyncio.sleep(0.2)  # for the loop to take what has arrived
        listener.stop()
        await running
        return listener.ear

    return asyncio.run(run())


def datagram(data: bytes, address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(data, address)


def names(database: Database) -> list[str]:
    with database.read() as c:
        return [unit.unit_id for unit in list_units(c)]


def test_what_was_heard_is_on_disk_at_the_end(database: Database) -> None:
    def send(addresses: list[tuple[str, int]]) -> None:
        datagram(PING, addresses[0])
        datagram(PING.replace(b"1234", b"12345-long"), addresses[0])
        datagram(PING, addresses[0])  # again
        with socket.create_connection(addresses[1]) as out:
            out.sendall(b"\r\n" + PING.replace(b"1234", b"tcp")[:20])
            time.sleep(0.05)
            out.sendall(PING.replace(b"1234", b"tcp")[20:] + PING.replace(b"1234", b"t2"))

    heard(database, Rules("taip", LOCAL), send)
    assert names(database) == ["1234", "12345-long", "t2", "tcp"]
    with database.read() as c:
        (first, *_) = list_units(c)
    assert (first.last_us, first.lat, first.lon) == (NOW_US - 10_000_000, 44.5, -79.8)
    assert first.speed_mps == pytest.approx(4.4704)  # 10 miles are 16,093.44 m, an hour 3,600 s


def test_an_address_and_an_alias_say_whose_it_is(database: Database) -> None:
    aliases.set_alias(database, "taip", "1234", "4A12")
    heard(database, Rules("taip", LOCAL), lambda to: datagram(PING, to[0]))
    assert names(database) == ["4A12"]
    mapped = Rules("taip", LOCAL, {"127.0.0.1": "4A13"})
    heard(database, mapped, lambda to: datagram(PING, to[0]))
    heard(database, mapped, lambda to: datagram(PING.replace(b";ID=1234", b""), to[0]))
    assert names(database) == ["4A12", "4A13"]


def test_sentences_of_one_epoch_are_one_ping(database: Database) -> None:
    def send(addresses: list[tuple[str, int]]) -> None:
        with socket.create_connection(addresses[1]) as out:
            out.sendall(b"$PGID,359853000144328*0F\r\n" + GGA + RMC)

    heard(database, Rules("nmea", LOCAL), send)
    with database.read() as c:
        rows = c.exec_driver_sql("SELECT speed_mps, heading_deg, accuracy_m FROM pings").all()
    # 10 knots are 18,520 m in 3,600 s; an HDOP of 2 is 10 m.
    assert [tuple(row) for row in rows] == [(pytest.approx(5.1444, abs=1e-4), 180, 10)]
    assert names(database) == ["359853000144328"]


def test_what_does_not_count_is_counted() -> None:
    allowed = Rules("taip", (ip_network("10.0.0.0/8"),), per_s=0.1)  # a burst of three
    ear = Ear(allowed, lambda: NOW_US)
    ear.hear(PING, "192.0.2.1")
    assert not ear.allows("192.0.2.1")
    for data in (PING, b"hello", PING[:-2] + b"9<>RAL19500+00230+00012<", PING):
        ear.hear(data, "::ffff:10.0.0.1")
    ear.hear(PING.replace(b"12;", b"90;"), "10.0.0.2")  # no fix
    assert dict(+ear.counts) == {
        "not_allowed": 2,
        "received": 4,
        "unreadable": 1,
        "other": 1,
        "too_often": 1,
        "no_fix": 1,
    }
    assert len(ear.waiting) == 2


def test_positions_wait_while_the_database_is_away(
    sqlite_settings: Settings, tmp_path: Path
) -> None:
    database = Database(sqlite_settings.model_copy(update={"busy_timeout_s": 0.1}))
    with database.write() as c:
        c.exec_driver_sql("ALTER TABLE pings RENAME TO gone")

    def send(addresses: list[tuple[str, int]]) -> None:
        datagram(PING, addresses[0])
        time.sleep(0.6)  # two tries
        with database.write() as c:
            c.exec_driver_sql("ALTER TABLE gone RENAME TO pings")

    ear = heard(database, Rules("taip", LOCAL), send)
    assert ear.waiting == []
    assert names(database) == ["1234"]
    database.close()


def test_rules_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text("address,unit_id\n10.4.0.7,4A12\n\n::1,4A13\n")
    assert units_of_file(path) == {"10.4.0.7": "4A12", "::1": "4A13"}
    for text in ("a,b\n", "address,unit_id\n10.4.0,4A12\n", "address,unit_id\n10.4.0.7\n"):
        path.write_text(text)
        with pytest.raises(BadInput):
            units_of_file(path)
    for form, network in (("gpx", "10.0.0.0/8"), ("taip", "10.0.0.1/8"), ("taip", "all")):
        with pytest.raises(BadInput):
            rules_of(form, [network], None, 1)
    assert host_and_port("[::1]:5000") == ("::1", 5000)
    for where in ("5000", "a:b", ":1", "a:70000"):
        with pytest.raises(BadInput):
            host_and_port(where)


def test_a_signal_ends_it_with_everything_written(sqlite_settings: Settings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["listen", "--format", "taip", "--allow", "127.0.0.1", "--udp", f"127.0.0.1:{port}"]
    program = [sys.executable, "-c", "from app.cli import main; main()", *command]
    environment = os.environ | {"FOCUS_PATROL_DATABASE_URL": sqlite_settings.database_url}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["event"] == "listening"
        second = int(time.time()) % 86_400
        for unit in range(50):
            ping = f">RPV{second:05}+4450000-0798000001018012;ID={unit}<".encode()
            datagram(ping, ("127.0.0.1", port))
        time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        last = json.loads(running.stdout.read().splitlines()[-1])
        assert running.wait(10) == 0
    assert (last["event"], last["accepted"]) == ("heard", 50)
    database = Database(sqlite_settings)
    assert len(names(database)) == 50
    database.close()
