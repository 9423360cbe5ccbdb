"""Events: a snapshot, then changes; what was missed; who is slow; and the end."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx

from app import keys
from app.db import Database
from app.events import WAITING, Hub, changes
from app.settings import Settings
from tests import town
from tests.http.conftest import DISTRICT, Service, ping_items
from tests.http.test_border import assert_problem
from tests.http.test_serve import END_S, Process
from tests.http.test_serve import process as process  # the fixture


def events_of(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(
            line.split(": ", 1) for line in block.splitlines() if line[:1] not in ("", ":")
        )
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_snapshot_of_what_there_is(town_service: Service) -> None:
    answer = town_service.get("/v1/events", params={"once": "true"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    ((kind, said),) = events_of(answer.text)
    assert kind == "snapshot"
    assert said.keys() == {"units", "plans", "dosage", "alerts"}
    assert said["units"] == town_service.get("/v1/units").json()
    assert town_service.call("HEAD", "/v1/events", "view").content == b""
    assert_problem(town_service.get("/v1/events", "ingest"), 403)


async def never() -> None:
    return None


def view(**units: int) -> Any:
    return {"units": {k: {"unit_id": k, "lat": v, "age_s": 9} for k, v in units.items()}}


def test_only_what_lasts_is_a_change() -> None:
    old, new = view(a=1, b=1), view(a=1, b=2, c=3)
    new["units"]["a"] |= {"age_s": 10}
    assert [(kind, d["unit_id"]) for kind, d in changes(old, new)] == [("unit", "b"), ("unit", "c")]


def test_several_listeners_and_what_one_has_missed() -> None:
    async def run() -> None:
        now = view(a=1)
        hub = Hub(lambda: now, 0.0)
        one = await hub.listen(None, never)
        other = await hub.listen(None, never)
        first = await anext(one)
        assert first == await anext(other)
        begun = first.splitlines()[0].removeprefix("id: ")
        now = view(a=2)
        await hub.refresh()
        text = await anext(one)
        assert events_of(text) == [("unit", {"unit_id": "a", "lat": 2, "age_s": 9})]
        assert await anext(other) == text
        # Who comes back with the snapshot's id gets that event; with another's, a snapshot.
        assert await anext(await hub.listen(begun, never)) == text
        for unknown in ("x-1", "nonsense", begun.replace("-0", "-99")):
            again = await anext(await hub.listen(unknown, never))
            assert events_of(again)[0][0] == "snapshot"
        hub.stop()
        assert events_of(await anext(one)) == [("end", {"reason": "stopping"})]
        assert [text async for text in one] == []

    anyio.run(run)


def test_who_reads_too_slowly_is_told_and_let_go() -> None:
    async def run() -> None:
        now = view(a=0)
        hub = Hub(lambda: now, 0.0)
        slow = await hub.listen(None, never)
        await anext(slow)
        for k in range(1, WAITING + 50):
            now = view(a=k)
            await hub.refresh()
        rest = [text async for text in slow]
        assert len(rest) == WAITING + 1  # what waited, and the end
        assert events_of(rest[-1]) == [("end", {"reason": "slow"})]

    anyio.run(run)


class Listener(threading.Thread):
    """Reads a stream until it ends."""

    def __init__(self, process: Process, key: str) -> None:
        super().__init__(daemon=True)
        self.process, self.key, self.text = process, key, ""
        self.start()

    def run(self) -> None:
        headers = {"X-API-Key": self.key}
        address = f"{self.process.address}/v1/events"
        with httpx.stream("GET", address, headers=headers, timeout=30) as answer:
            for text in answer.iter_text():
                self.text += text

    def wait_for(self, kind: str, within_s: float) -> Any:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            found = [data for name, data in events_of(self.text) if name == kind]
            if found:
                return found[-1]
            time.sleep(0.05)
        raise TimeoutError(f"no {kind} in {self.text!r}")


def posts(process: Process) -> Iterator[Any]:
    with httpx.Client(base_url=process.address, headers={"X-API-Key": process.key}) as client:
        yield client


def test_changes_come_within_5_s_and_streams_end_with_the_service(
    process: Process, sqlite_settings: Settings
) -> None:
    database = Database(sqlite_settings)
    key = keys.add_key(database, "board", ["view"], 0)
    listeners = [Listener(process, process.key), Listener(process, key)]
    for listener in listeners:
        assert listener.wait_for("snapshot", 10)["units"] == []
    for client in posts(process):
        client.put("/v1/districts/town", json=DISTRICT).raise_for_status()
        here = ping_items()[0] | {"time": time.time()}
        client.post("/v1/pings", json=[here]).raise_for_status()
        for listener in listeners:
            assert listener.wait_for("unit", 5)["unit_id"] == town.UNITS[0]
        now = time.gmtime()
        shift = ("night", "day", "evening")[now.tm_hour // 8]
        wanted = {"district": "town", "shift": shift, "date": time.strftime("%Y-%m-%d", now)}
        plan = client.post("/v1/plans", json=wanted).raise_for_status().json()
        assert listeners[0].wait_for("plan", 5)["id"] == plan["id"]
        assert listeners[0].wait_for("dosage", 5)["plan"] == plan["id"]
    keys.revoke_key(database, "board", 1)
    database.close()
    assert listeners[1].wait_for("end", 5) == {"reason": "key"}
    began = time.monotonic()
    process.running.send_signal(signal.SIGTERM)
    assert listeners[0].wait_for("end", 5) == {"reason": "stopping"}
    process.running.wait(END_S)
    assert process.running.returncode == 0
    assert time.monotonic() - began < 8  # long before streams would be cut off
